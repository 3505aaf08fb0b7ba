"""A Sphinx extension: docstrings quote code as Markdown does, and Sphinx reads reStructuredText."""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _quote)
    return {"parallel_read_safe": True}


def _quote(app: Sphinx, kind: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Changes `lines` in place, as autodoc wants it."""
    lines[:] = [_CODE.sub(r"``\1``", line).replace("*args", r"\*args") for line in lines]
