"""The command `eddyline`, and `python -m eddyline`: each subcommand is the `main` of a module."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

#: By subcommand: its module, the extra that the module needs, and a line of help.
COMMANDS = {
    "serve": ("eddyline.server.cli", "server,auth", "run one service"),
    "token": ("eddyline.auth.tokens", "auth", "sign a bearer token"),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="eddyline",
        description="Streams that never lose their place.",
        epilog="commands:\n"
        + "".join(f"  {name:<7}{about}\n" for name, (_, _, about) in COMMANDS.items())
        + "\nOptions of a command: eddyline COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help=", ".join(COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    name, extra, _ = COMMANDS[options.command]
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        sys.exit(f"eddyline: {options.command} needs {error.name}: pip install 'eddyline[{extra}]'")
    module.main(options.arguments)


if __name__ == "__main__":
    main()
