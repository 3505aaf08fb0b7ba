"""`eddyline serve`: one `StreamServer` process, or gunicorn with `StreamWorker`s."""

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI

from eddyline.errors import SettingsError
from eddyline.server.server import StreamServer, prepare_process, server_config
from eddyline.service.settings import exit_on_bad_settings
from eddyline.telemetry.workers import clear_folder

GUNICORN_CONFIG = "python:eddyline.server.gunicorn"


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eddyline serve",
        description="Run one Eddyline service.",
        epilog="Settings come from the environment: EDDYLINE_* for all services, EVENTS_* and so "
        "on for one. Stop it by SIGTERM or Ctrl-C: open streams are ended within "
        "EDDYLINE_DRAIN_WINDOW seconds.",
    )
    parser.add_argument(
        "app",
        metavar="MODULE:APP",
        nargs="?",
        default=os.environ.get("EDDYLINE_APP"),
        help="for example eddyline_events.app:app; default: EDDYLINE_APP, which the images set",
    )
    parser.add_argument("--host", help="address to listen on (EDDYLINE_HOST, default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (EDDYLINE_PORT, default 8000)")
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="run gunicorn with N worker processes; without it, one process and no supervisor",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Serves until a signal; a bad setting ends the process with code 3."""
    parser = arguments()
    options = parser.parse_args(argv)
    if not options.app:
        parser.error("name the app to run, for example eddyline_events.app:app")
    # The app reads its settings when it is imported, in each worker: they must find these in the
    # environment.
    for name in ("host", "port"):
        if getattr(options, name) is not None:
            os.environ[f"EDDYLINE_{name.upper()}"] = getattr(options, name)
    try:
        if options.workers:
            run_gunicorn(options.app, options.workers)
        else:
            run(load(options.app))
    except SettingsError as error:
        exit_on_bad_settings(error)


def load(target: str) -> FastAPI:
    """The app `MODULE:APP`, of a module that is installed or in the current folder."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name or "app")
    if not isinstance(app, FastAPI):
        raise TypeError(f"{target} is {type(app).__name__}, expected the FastAPI of create_app")
    return app


def run(app: FastAPI) -> None:
    """Serves until a signal; returns when all streams have ended."""
    context = app.state.context
    prepare_process()
    StreamServer(server_config(app, context.settings), context.drain).run()


def run_gunicorn(target: str, workers: int) -> None:
    """Becomes gunicorn's master. Raises SettingsError where metrics have no place."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    try:
        # Files of an earlier life would be counted as if its processes were still there.
        folder = folder or tempfile.mkdtemp(prefix="eddyline-")
        clear_folder(Path(folder))
    except OSError as error:
        raise SettingsError(
            f"PROMETHEUS_MULTIPROC_DIR={folder!r}: {error}; expected a folder that can be written"
        ) from None
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    os.environ["EDDYLINE_WORKERS"] = str(workers)
    # On USR2 gunicorn starts its `__main__.py` by path: beside that lies a package `http`.
    os.environ["PYTHONSAFEPATH"] = "1"
    command = [sys.executable, "-m", "gunicorn", "-c", GUNICORN_CONFIG, "-w", str(workers), target]
    os.execv(sys.executable, command)
