"""`python -m eddyline_standalone.serve events`: one service, as in production, on demo data."""

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from eddyline.errors import SettingsError
from eddyline.server import cli as serve
from eddyline.service.registry import registrations
from eddyline.service.settings import Settings, exit_on_bad_settings
from eddyline_standalone import demo
from eddyline_standalone.server import listen


def arguments(names: Collection[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eddyline_standalone.serve",
        description="Run one Eddyline service with gunicorn, as in production, on the demo data.",
        epilog="Without the demo: eddyline serve eddyline_logs.app:app --workers 2",
    )
    parser.add_argument("service", metavar="SERVICE", choices=names, help=", ".join(names))
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default="8000", help="port to listen on")
    parser.add_argument("--workers", type=_workers, default=1, help="processes, 1 or more")
    parser.add_argument(
        "--data", type=Path, default=Path(".data"), help="folder of the demo data, made if missing"
    )
    return parser


def _workers(text: str) -> int:
    workers = int(text)
    if workers < 1:
        raise ValueError(text)
    return workers


def main(argv: Sequence[str] | None = None) -> None:
    services = registrations()
    options = arguments(services).parse_args(argv)
    demos = [services[options.service]]
    folder = options.data.absolute()
    os.environ.update(EDDYLINE_HOST=options.host, EDDYLINE_PORT=options.port)
    demo.set_defaults(demo.environment(folder, demos))
    # gunicorn would try five times, and then say less.
    listen(Settings.read()).close()
    demo.make(folder, lambda text: print(text, file=sys.stderr, flush=True), demos)
    serve.run_gunicorn(f"eddyline_{options.service}.app:app", options.workers)


if __name__ == "__main__":
    try:
        main()
    except SettingsError as error:
        exit_on_bad_settings(error)
    except OSError as error:
        sys.exit(f"eddyline: {error}")
