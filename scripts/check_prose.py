#!/usr/bin/env python3
"""Finds sentences that a stranger must decode: `check_prose.py [PATH…]`, else the repository.

It reads the comments and docstrings of Python, shell, YAML and Lua, and the text of Markdown. Found
is
- "who", "whom", "whoever", "what" and "whatever" outside of a question: a relative clause needs a
  noun before it ("clients that resume", "the reason");
- a sentence of more than 40 words: one idea a sentence.
The exit code is 1 if there is any.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

#: Words in one sentence.
MOST_WORDS = 40

_HEADLESS = re.compile(r"\b(who|whom|whoever|whomever|what|whatever)\b", re.IGNORECASE)
#: Code, addresses and quotations are not ours.
_QUOTED = re.compile(r"``.*?``|`[^`]*`|\"[^\"\n]*\"|https?://\S+|\[\[.*?\]\]", re.DOTALL)
#: Columns and drawings are no sentences.
_TABLE = re.compile(r"[|├│└]|\S {2,}\S")
_CODE_BLOCK = re.compile(r"```.*?```", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+|\n\s*\n|\n(?=\s*(?:[-*|#>]|\d+\. ))")
_HASH = {".sh", ".yaml", ".yml", ".toml", ".mk", ""}
_DASH = {".lua"}
#: Texts that are data: recorded answers, other people's words, generated pages.
_PASSED = ("LICENSE", "uv.lock", "docs/benchmarks.md", "docs/load.md", "CHANGELOG.md")

Fault = tuple[int, str, str]


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments] or _tracked()
    faults = 0
    for path in paths:
        for line, why, sentence in _faults(path):
            faults += 1
            print(f"{path}:{line}: {why}: {' '.join(sentence.split())[:110]}")
    if faults:
        print(f"{faults} sentences to write anew: CONTRIBUTING.md says how", file=sys.stderr)
    return 1 if faults else 0


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.splitlines() if name not in _PASSED]


def _faults(path: Path) -> Iterator[Fault]:
    for line, text in _prose(path):
        plain = _QUOTED.sub(lambda quoted: "x" + "\n" * quoted[0].count("\n"), text)
        at = 0
        for sentence in _SENTENCE_END.split(plain):
            at = plain.index(sentence, at)
            where = line + plain.count("\n", 0, at)
            if (found := _HEADLESS.search(sentence)) and not sentence.rstrip().endswith("?"):
                yield where, f"{found[0]!r} without a noun", sentence
            elif not _TABLE.search(sentence) and len(sentence.split()) > MOST_WORDS:
                yield where, f"more than {MOST_WORDS} words", sentence
            at += len(sentence)


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """Pieces of prose with the line that each begins in."""
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, IsADirectoryError, FileNotFoundError):
        return
    if path.suffix == ".py":
        yield from _of_python(text)
    elif path.suffix == ".md":
        yield (
            1,
            re.sub(r"```.*?```", lambda code: "\n" * code[0].count("\n"), text, flags=re.DOTALL),
        )
    elif path.suffix in _HASH:
        yield from _of_lines(text, re.compile(r"(?:^|\s)#(?!!)\s?(.*)$"))
    elif path.suffix in _DASH:
        yield from _of_lines(text, re.compile(r"--\s?(.*)$"))


def _of_python(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if first is not None and ast.get_docstring(node, clean=False) is not None:
                yield first.lineno, str(ast.get_docstring(node, clean=False))
    comments = [
        (token.start[0], token.string.lstrip("#: "))
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not token.string.startswith("#!")
    ]
    yield from _joined(comments)


def _of_lines(text: str, comment: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    found = ((number, comment.search(line)) for number, line in enumerate(text.splitlines(), 1))
    yield from _joined([(number, match[1]) for number, match in found if match])


def _joined(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Comments of lines that follow one another are one text."""
    block: list[str] = []
    start = 0
    for number, text in lines:
        if block and number != start + len(block):
            yield start, "\n".join(block)
            block = []
        if not block:
            start = number
        block.append(text)
    if block:
        yield start, "\n".join(block)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
