"""The documents name files, targets and modules that exist."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from rendered import ROOT

from eddyline_events.http.browser_files import BrowserFiles

DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("services/*/README.md"),
    *ROOT.glob("examples/*/README.md"),
    ROOT / "examples" / "README.md",
    ROOT / "shared" / "streaming" / "README.md",
]

#: Folders that a path in a document may be relative to, beside the document's own.
BASES = [ROOT, ROOT / "shared" / "streaming", ROOT / "k8s", *ROOT.glob("services/*")]

TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

PACKAGES = [path.parent.name for path in ROOT.glob("services/[a-z]*/eddyline_*/__init__.py")]

every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS]
)


def code(text: str) -> Iterator[str]:
    """The blocks and the spans of code."""
    yield from re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def exists(path: str, document: Path) -> bool:
    """Whether there is such a file or folder; NAME stands for any name."""
    pattern = path.replace("NAME", "*")
    return any(next(base.glob(pattern), None) for base in (document.parent, *BASES))


@every_document
def test_every_path_exists(document: Path) -> None:
    endings = "py|yaml|yml|json|toml|md|env|caddy|lua|js|html"
    # Not in capitals: FOLDER/config.json is a file of the reader's.
    pattern = rf"(?<![\w./:$~{{-])((?![A-Z]+/)(?:[\w-]+/)+[\w.-]*\.(?:{endings}))\b"
    named = {path for text in code(document.read_text()) for path in re.findall(pattern, text)}
    assert sorted(path for path in named if not exists(path, document)) == []


@every_document
def test_every_target_exists(document: Path) -> None:
    text = "\n".join(code(document.read_text()))
    assert set(re.findall(r"(?:^|[ ;(`])make ([a-z][a-z0-9-]*)", text, re.MULTILINE)) <= TARGETS


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    words = re.sub(r"[^\w\- ]", "", re.sub(r"\[(.+?)\]\(.*?\)", r"\1", heading))
    return words.lower().replace(" ", "-")


def anchors(document: Path) -> set[str]:
    return set(map(anchor, re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)))


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    wrong = []
    for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", document.read_text()):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_the_readme_has_something_for_each_reader_within_its_bounds() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    readers = ("Front end", "Back end", "Operator", "Performance tester", "Contributor")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(readers)
    for section in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]:
        assert "\n```" in section
        assert len(section.splitlines()) < 40


PAGES = [*ROOT.glob("docs/guides/*.md"), *ROOT.glob("docs/operate/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_of_several_sections_lists_them(page: Path) -> None:
    bare = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    sections = re.findall(r"^## (.+)$", bare, re.MULTILINE)
    if page.name != "README.md" and len(sections) > 1:
        links = " · ".join(f"[{section}](#{anchor(section)})" for section in sections)
        missing = f"*On this page: {links}.*"
        assert missing in " ".join(bare.split()), "put the missing line below the title"


@pytest.mark.parametrize("folder", ["guides", "operate", "decisions"])
def test_the_contents_of_a_folder_name_each_page_once(folder: str) -> None:
    contents = ROOT / "docs" / folder / "README.md"
    links = re.findall(r"^(?:- |\| )\[.+?\]\(([\w-]+\.md)\)", contents.read_text(), re.M)
    assert sorted(links) == sorted(
        {page.name for page in contents.parent.glob("*.md")} - {contents.name}
    )


@every_document
def test_every_module_exists(document: Path) -> None:
    packages = "|".join(("eddyline", "loadtests", "bench", *PACKAGES))
    pattern = rf"\b(?:python -m |from |import )((?:{packages})(?:\.\w+)*)\b(?!_)"
    named = {name for text in code(document.read_text()) for name in re.findall(pattern, text)}
    assert sorted(name for name in named if find_spec(name) is None) == []


def test_every_module_for_browsers_is_served() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    named = set(re.findall(r"^import .* from '(/[^']+)'", text, re.MULTILINE))
    assert named
    assert named <= {route.path for route in BrowserFiles().routes().routes}
