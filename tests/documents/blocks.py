"""The blocks of code in the documents, and the marks above them.

A mark is a comment of Markdown in the lines before a block, which no reader sees:
- `<!-- prints: TEXT -->`: running the block prints TEXT;
- `<!-- tested: PATH::TEST -->`: the block can't run beside the suite; this test runs it elsewhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: The library's README has a test of its own: shared/streaming/tests/test_readme.py.
DOCUMENTS = [
    path
    for path in [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md"))]
    if path.name != "CHANGELOG.md"
]

_BLOCK = re.compile(
    r"(?P<marks>(?:^ *<!-- .*? -->\n)*)^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"<!-- (\w+): (.*?) -->", re.DOTALL)
#: A command in the midst of a text; `curl -OJ` alone is none.
_INLINE = re.compile(r"(?<!`)`(curl [^`]*http[^`]*)`(?!`)")


@dataclass(frozen=True)
class Block:
    document: Path
    line: int
    language: str
    code: str
    prints: str = ""
    tested: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> list[Block]:
    """All blocks of a document, and the commands in its text, in their order."""
    text = document.read_text(encoding="utf-8")
    return sorted([*_fenced(document, text), *_inline(document, text)], key=lambda b: b.line)


def _fenced(document: Path, text: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        marks = _MARK.findall(found["marks"])
        yield Block(
            document,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            re.sub(rf"^{found['indent']}", "", found["code"], flags=re.MULTILINE),
            "".join(text for mark, text in marks if mark == "prints"),
            tuple(text for mark, text in marks if mark == "tested"),
        )


def _inline(document: Path, text: str) -> Iterator[Block]:
    bare = re.sub(r"^ *```.*?^ *```$", lambda b: "\n" * b[0].count("\n"), text, flags=re.M | re.S)
    for found in _INLINE.finditer(bare):
        yield Block(document, bare.count("\n", 0, found.start()) + 1, "sh", found[1])
