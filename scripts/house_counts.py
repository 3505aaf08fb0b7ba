#!/usr/bin/env python3
"""Counts the shape of Python packages, ours beside others: a table in Markdown.

`house_counts.py [PACKAGE…]` takes names or folders. Without them: the library, the services, and
those of starlette, uvicorn and litestar.channels that are installed (`uv run --with litestar
scripts/house_counts.py` brings all). Tests and vendored code are left out.
"""

import ast
import io
import re
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
OTHERS = ("starlette", "uvicorn", "litestar.channels")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class House:
    """One column: the files of a package, read once."""

    def __init__(self, name: str, folders: list[Path]) -> None:
        self.name = name
        found = [(folder, path) for folder in folders for path in sorted(folder.rglob("*.py"))]
        own = [(f, p) for f, p in found if not {"tests", "_vendor"} & set(p.parts)]
        self.depths = [len(path.relative_to(folder).parts) for folder, path in own]
        # An `__init__.py` without a line is no file that anybody reads.
        self.paths = [path for _, path in own if path.stat().st_size]
        self.texts = [path.read_text(encoding="utf-8") for path in self.paths]
        self.trees = [ast.parse(text) for text in self.texts]

    @property
    def lines(self) -> list[int]:
        return [text.count("\n") for text in self.texts]

    @property
    def functions(self) -> list[int]:
        """Lines of each function, without its decorators."""
        return [
            (node.end_lineno or node.lineno) - node.lineno + 1
            for tree in self.trees
            for node in ast.walk(tree)
            if isinstance(node, Function)
        ]

    @property
    def docstrings(self) -> list[str]:
        kinds = ast.Module | ast.ClassDef | Function
        nodes = (node for tree in self.trees for node in ast.walk(tree))
        return [
            text for node in nodes if isinstance(node, kinds) if (text := ast.get_docstring(node))
        ]

    def per_thousand(self, words: str) -> float:
        """How often any of the words comes in 1,000 words of comments and docstrings."""
        texts = [*self.docstrings, *(c for text in self.texts for c in _comments(text))]
        all_words = re.findall(r"[A-Za-z']+", " ".join(texts))
        hits = sum(1 for word in all_words if re.fullmatch(words, word, re.IGNORECASE))
        return 1000 * hits / max(1, len(all_words))

    @property
    def largest_folder(self) -> int:
        return max(
            Counter(path.parent for path in self.paths if path.name != "__init__.py").values()
        )


def _comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.lstrip("#: ")


def _spread(values: list[int]) -> str:
    ordered = sorted(values)
    ninth = ordered[int(0.9 * (len(ordered) - 1))]
    return f"{statistics.median(ordered):.0f} / {ninth} / {ordered[-1]}"


ROWS: dict[str, Callable[[House], str]] = {
    "files / lines": lambda h: f"{len(h.paths)} / {sum(h.lines):,}",
    "file: median / p90 / longest": lambda h: _spread(h.lines),
    "function: median / p90 / longest": lambda h: _spread(h.functions),
    "functions over 30 lines": lambda h: (
        f"{100 * sum(n > 30 for n in h.functions) / len(h.functions):.1f} %"
    ),
    "docstring lines, median": lambda h: (
        f"{statistics.median(len(d.splitlines()) for d in h.docstrings):.0f}"
    ),
    '"who" in 1,000 words of comments': lambda h: f"{h.per_thousand('who|whom|whoever'):.2f}",
    '"what" in 1,000 words of comments': lambda h: f"{h.per_thousand('what|whatever'):.2f}",
    "depth of folders": lambda h: f"{max(h.depths)}",
    "modules in the largest folder": lambda h: f"{h.largest_folder}",
}


def houses(names: list[str]) -> list[House]:
    if names:
        return [House(name, _folders(name)) for name in names]
    services = sorted(p for p in ROOT.glob("services/*/eddyline_*") if p.is_dir())
    ours = [House("eddyline", [ROOT / "shared/streaming/eddyline"]), House("services", services)]
    return ours + [House(name, folders) for name in OTHERS if (folders := _folders(name))]


def _folders(name: str) -> list[Path]:
    if Path(name).is_dir():
        return [Path(name)]
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return []
    return [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []


def main(names: list[str]) -> None:
    columns = houses(names)
    print("| | " + " | ".join(house.name for house in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for title, value in ROWS.items():
        print(f"| {title} | " + " | ".join(value(house) for house in columns) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
