#!/usr/bin/env python3
"""Finds tests that wait for a fixed time: `check_sleeps.py [FOLDER]`.

Such a test is slow on an idle machine and fails on a busy one. `eventually` and `wait_until` of
eddyline.testing wait for a condition. A test that nothing happens waits for a later event in its
place. A pause that is no wait, such as the pace of a slow client, says so in its line:

    await asyncio.sleep(0.05)  # sleep: the pace of a slow client

`# sleep: …` as a line of its own, in the first column, holds for the whole file: for a program
whose subject is time. `sleep(0)` gives others a turn, and is no wait. The exit code is 1 if any is
found.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

#: The last part of the name that is called.
SLEEPS = ("sleep", "wait_for_timeout")

_MARK = re.compile(r"# sleep: \S+ \S+")
_FILE_MARK = re.compile(rf"^{_MARK.pattern}", re.MULTILINE)
_HELPERS = Path("shared/streaming/eddyline/testing")


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).parents[1]
    faults = [fault for path in _tests(root) for fault in _faults(path, root)]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def _tests(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if any(part.startswith(".") for part in name.parts):
            continue
        if "tests" in name.parts or name.is_relative_to(_HELPERS) or path.name == "conftest.py":
            yield path


def _faults(path: Path, root: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if _FILE_MARK.search(text):
        return
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and _name(node.func) in SLEEPS and not _is_turn(node):
            written = lines[node.lineno - 1 : node.end_lineno]
            if not any(_MARK.search(line) for line in written):
                yield (
                    f"{path.relative_to(root)}:{node.lineno}: a fixed wait:"
                    f" wait for a condition, or end the line with `# sleep: the reason`"
                )


def _name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def _is_turn(call: ast.Call) -> bool:
    """Whether it is `sleep(0)`."""
    match call.args:
        case [ast.Constant(value=0)]:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
