"""The page of the command `eddyline`: its own help."""

import io
import os
from contextlib import redirect_stdout, suppress

from eddyline.__main__ import CLIENT, COMMANDS, main

#: `run` hands its options on, and starts the suite.
NAMES = [name for name in (*CLIENT, *COMMANDS) if name != "run"]


def command() -> str:
    sections = (f"\n## `eddyline {name}`\n\n{_help(name)}" for name in NAMES)
    return f"# The command\n\n{_help()}" + "".join(sections)


def _help(*arguments: str) -> str:
    said = io.StringIO()
    # argparse breaks lines by the width of a terminal.
    os.environ["COLUMNS"] = "96"
    with redirect_stdout(said), suppress(SystemExit):
        main([*arguments, "--help"])
    return f"```text\n{said.getvalue()}```\n"
