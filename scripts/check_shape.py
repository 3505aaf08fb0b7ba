#!/usr/bin/env python3
"""Finds code that has outgrown its place, in the library and the services: tests are left out.

- a function of more than 50 lines, its decorators not counted;
- a file of more than 300 lines, in the library;
- a room (a folder of modules) of more than nine, `__init__.py` and rooms inside it not counted.
The exit code is 1 if there is any. `check_shape.py [FOLDER]` looks at another copy of the project.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_FUNCTION_LINES = 50
MOST_FILE_LINES = 300
MOST_MODULES = 9

LIBRARY = "shared"
ROOTS = (LIBRARY, "services")

Functions = ast.FunctionDef | ast.AsyncFunctionDef


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).parents[1]
    faults = list(_faults(root))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def _faults(root: Path) -> Iterator[str]:
    rooms: dict[Path, int] = {}
    for path in _modules(root):
        if path.name != "__init__.py":
            rooms[path.parent] = rooms.get(path.parent, 0) + 1
        yield from _faults_of(path, root)
    for room, modules in rooms.items():
        if modules > MOST_MODULES:
            yield f"{room.relative_to(root)}: {modules} modules, at most {MOST_MODULES} are a room"


def _modules(root: Path) -> Iterator[Path]:
    for name in ROOTS:
        for path in sorted((root / name).rglob("*.py")):
            parts = path.relative_to(root).parts
            if "tests" not in parts and not any(part.startswith(".") for part in parts):
                yield path


def _faults_of(path: Path, root: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(root)
    lines = len(text.splitlines())
    if name.parts[0] == LIBRARY and lines > MOST_FILE_LINES:
        yield f"{name}: {lines} lines, at most {MOST_FILE_LINES} are a file of the library"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Functions):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_FUNCTION_LINES:
                yield (
                    f"{name}:{node.lineno}: {node.name} has {length} lines,"
                    f" at most {MOST_FUNCTION_LINES} are a function"
                )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
