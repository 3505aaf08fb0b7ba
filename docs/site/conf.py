"""Sphinx: the site of the documents. `build.py` copies it beside the pages."""

import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[2]

project = "Eddyline"
release = tomllib.loads((_ROOT / "shared/streaming/pyproject.toml").read_text())["project"][
    "version"
]
version = release
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "docstrings"]

#: Headings down to this depth have the anchors that GitHub gives them.
myst_heading_anchors = 4
#: Diagrams and the configurations of others have no lexer here.
suppress_warnings = ["misc.highlighting_failure"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"Eddyline {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
