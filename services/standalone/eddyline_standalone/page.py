"""The start page: one file, without anything from elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Response

from eddyline.service.browser.page import Page
from eddyline.service.registry import Example

#: The expression in the page's script that the list of examples takes the place of.
_EXAMPLES = "[/* examples */]"


def router(examples: Sequence[Example]) -> APIRouter:
    routes = APIRouter()
    # A command may hold "</script>", which would end the script.
    listed = json.dumps([[each.title, each.command] for each in examples]).replace("<", "\\u003c")
    page = Page(Path(__file__).with_name("page.html").read_text().replace(_EXAMPLES, listed))

    @routes.get("/", include_in_schema=False)
    @routes.head("/", include_in_schema=False)
    async def start_page() -> Response:
        return page.response()

    return routes
