"""The pages of the site, from the documents of the repository.

On GitHub a document links to others, and to code, by their paths. The site has other paths: links
to pages follow them there, and each other file is copied and can be downloaded.
"""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Documents outside of docs/ that are pages, by their place in the site.
OUTSIDE = {
    "shared/streaming/README.md": "guides/library.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "UPGRADE.md": "upgrade.md",
    "examples/README.md": "examples/index.md",
    **{
        str(readme.relative_to(ROOT)): f"examples/{readme.parent.name}.md"
        for readme in sorted(ROOT.glob("examples/*/README.md"))
    },
}

TOCTREE = "\n```{{toctree}}\n:hidden:\n:maxdepth: 2\n\n{}\n```\n"

_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
_ENTRY = re.compile(r"^([-|]) \[(.*?)\]\(([^)#:]+)\.md\)", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def documents() -> dict[Path, str]:
    """The place in the site of each document."""
    inside = {path: _inside(path) for path in sorted((ROOT / "docs").glob("**/*.md"))}
    return inside | {ROOT / name: to for name, to in OUTSIDE.items() if (ROOT / name).exists()}


def _inside(document: Path) -> str:
    place = document.relative_to(ROOT / "docs")
    return str(place.with_name("index.md") if place.name == "README.md" else place)


def write(site: Path) -> None:
    """Writes the source of every page into the folder `site`."""
    places = documents()
    for document, place in places.items():
        target = site / place
        target.parent.mkdir(parents=True, exist_ok=True)
        text = _with_links(document, target, site, places)
        target.write_text(with_contents(text) if target.name == "index.md" else text)
    _add_unlisted(site / "index.md", places.values())


def _add_unlisted(index: Path, places: Iterable[str]) -> None:
    """The start names no reference, which is made with the site, and may name no new paper."""
    text = index.read_text()
    papers = [each for each in places if "/" not in each and f"({each})" not in text]
    names = [each.removesuffix(".md") for each in papers if each != index.name]
    index.write_text(text + TOCTREE.format("\n".join([*names, "reference/index"])))


def with_contents(index: str) -> str:
    """An index with its table of contents: the pages that it links to, in its order.

    The text of a link in a list is the page's name there; in a table it is a number.
    """
    found = _ENTRY.findall(index)
    pages = (f"{name} <{page}>" if mark == "-" else page for mark, name, page in found)
    return index + TOCTREE.format("\n".join(pages))


def _with_links(document: Path, target: Path, site: Path, places: dict[Path, str]) -> str:
    def there(link: re.Match[str]) -> str:
        text, path, anchor = link[1], link[2], link[3] or ""
        named = (document.parent / path).resolve()
        if named.is_dir():
            named /= "README.md"
        place = places.get(named) or _copied(named, site)
        return f"{text}({os.path.relpath(site / place, target.parent)}{anchor})"

    pieces, end = [], 0
    text = document.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        pieces += [_LINK.sub(there, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, _LINK.sub(there, text[end:])])


def _copied(file: Path, site: Path) -> str:
    place = Path("files") / file.relative_to(ROOT)
    (site / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, site / place)
    return str(place)
