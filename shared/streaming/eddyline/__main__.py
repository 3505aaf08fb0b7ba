"""The command `eddyline`, and `python -m eddyline`.

`serve` and `token` are the `main` of a module, and need no more than that: images and servers have
them. All other commands are those of eddyline.cli, for which the extra `cli` is.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

#: By subcommand: its module, the extra that the module needs, and a line of help.
COMMANDS = {
    "serve": ("eddyline.server.cli", "server,auth", "run one service"),
    "token": ("eddyline.auth.tokens", "auth", "sign a bearer token"),
}

#: Those of eddyline.cli, for a message where it is not installed.
CLIENT = (
    *("get", "ls", "sub", "pub", "topics", "who", "kick", "ticket", "tail", "chat", "records"),
    *("status", "doctor", "run", "config"),
)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ""
    if name in COMMANDS and arguments[:2] != ["token", "show"]:
        skipped = 2 if arguments[:2] == ["token", "mint"] else 1
        _run(name, arguments[skipped:])
        return
    if name and not name.startswith("-") and name not in (*COMMANDS, *CLIENT):
        known = ", ".join(sorted({*COMMANDS, *CLIENT}))
        print(f"eddyline: no command {name!r}: expected one of {known}", file=sys.stderr)
        raise SystemExit(2)
    try:
        cli = import_module("eddyline.cli.app")
    except ModuleNotFoundError as error:
        if name in (*CLIENT, "token"):
            sys.exit(f"eddyline: {name} needs {error.name}: pip install 'eddyline[cli]'")
        _help(arguments)
        return
    cli.register(COMMANDS)
    cli.main(arguments)


def _run(name: str, arguments: list[str]) -> None:
    module, extra, _ = COMMANDS[name]
    try:
        loaded = import_module(module)
    except ModuleNotFoundError as error:
        sys.exit(f"eddyline: {name} needs {error.name}: pip install 'eddyline[{extra}]'")
    loaded.main(arguments)


def _help(arguments: list[str]) -> None:
    """The help where eddyline.cli is not installed."""
    parser = argparse.ArgumentParser(
        prog="eddyline",
        description="Streams that never lose their place.",
        epilog="commands:\n"
        + "".join(f"  {name:<7}{about}\n" for name, (_, _, about) in COMMANDS.items())
        + f"\nwith pip install 'eddyline[cli]': {', '.join(CLIENT)}"
        + "\n\nOptions of a command: eddyline COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help=", ".join(COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.parse_args(arguments)


if __name__ == "__main__":
    main()
