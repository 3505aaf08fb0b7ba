"""`python -m eddyline_standalone`: all services on one port, with demo data. See --help."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from eddyline.errors import SettingsError
from eddyline.server.server import prepare_process
from eddyline.service.registry import registrations
from eddyline.service.settings import Settings, exit_on_bad_settings
from eddyline_standalone import demo
from eddyline_standalone.app import create_app
from eddyline_standalone.banner import banner
from eddyline_standalone.server import LaptopServer, listen, url_of

#: On a laptop somebody presses Ctrl-C and waits; an access log would hide the banner.
DEFAULTS = {"EDDYLINE_DRAIN_WINDOW": "0.3", "EDDYLINE_LOG_LEVEL": "warning"}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eddyline_standalone",
        description="Run all Eddyline services on one port, with demo data.",
        epilog="Ctrl-C ends it and its streams cleanly; a second Ctrl-C ends it at once.",
    )
    parser.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on, 0 for a free one (PORT, default 8000)")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("DATA") or ".data"),
        help="folder of the demo data, made where it is missing (DATA, default .data)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments().parse_args(argv)
    for name in ("host", "port"):
        if getattr(options, name) is not None:
            os.environ[f"EDDYLINE_{name.upper()}"] = getattr(options, name)
    folder = options.data.absolute()
    services = list(registrations().values())
    if not services:
        raise SettingsError("no service is installed: expected one, such as eddyline-events")
    demo.set_defaults(DEFAULTS | demo.environment(folder, services))
    settings = Settings.read()
    # The banner says it.
    logging.getLogger("eddyline.auth").setLevel(logging.ERROR)
    with listen(settings) as listener:
        demo.make(folder, say, services)
        app = create_app(settings, services)
        prepare_process()
        text = banner(url_of(listener), settings, services)
        LaptopServer(app, text, say).run([listener])


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except SettingsError as error:
        exit_on_bad_settings(error)
    except OSError as error:
        sys.exit(f"eddyline: {error}")
    except KeyboardInterrupt:
        # Before there was anything to end: while the demo data was made.
        sys.exit(130)
