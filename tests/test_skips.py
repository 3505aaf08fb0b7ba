"""A skipped test says which thing is missing and how to get it: "THING is missing: COMMAND"."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: A thing, and then the way to it.
SAYS_HOW = re.compile(r"[^:]+: .+", re.DOTALL)


def reasons(path: Path) -> Iterator[str]:
    """The texts of the skips of a file, as far as they are written in the call."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in ("skip", "skipif"):
            texts = [*node.args[:1], *(each.value for each in node.keywords)]
            yield from filter(None, map(text, texts))


def text(node: ast.expr) -> str | None:
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
        return "".join(map(str, parts))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def test_every_skip_says_what_is_missing_and_how_to_get_it() -> None:
    paths = [
        path
        for path in ROOT.rglob("*.py")
        if "tests" in path.parts and not any(part.startswith(".") for part in path.parts)
    ]
    found = {reason: path for path in paths for reason in reasons(path)}
    assert len(found) > 8
    assert {r: str(p) for r, p in found.items() if not SAYS_HOW.fullmatch(r)} == {}
