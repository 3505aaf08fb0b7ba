#!/usr/bin/env python3
"""Builds the site of the documents: `make docs`. Warnings are errors; no other server is asked.

The pages are put together in `.docs/source`, the site is in `.docs/site`.
"""

import shutil
import sys
from pathlib import Path

import pages
import reference
from sphinx.cmd.build import build_main

ROOT = Path(__file__).parents[2]


def main(work: Path) -> int:
    """Returns the exit code of Sphinx."""
    source, site, doctrees = (work / name for name in ("source", "site", "doctrees"))
    # A page that is gone would stay, and be found by the search.
    for folder in (source, site, doctrees):
        shutil.rmtree(folder, ignore_errors=True)
    pages.write(source)
    for name, text in reference.pages().items():
        page = source / "reference" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text if page.name != "index.md" else pages.with_contents(text))
    configuration = str(Path(__file__).parent)
    options = ["-b", "html", "-q", "-W", "--keep-going", "-c", configuration]
    code = build_main([*options, "-d", str(doctrees), str(source), str(site)])
    if code == 0:
        print(f"{site}/index.html")
    return code


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".docs"))
