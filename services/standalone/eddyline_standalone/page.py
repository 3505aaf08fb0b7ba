"""The start page: one file, without anything from other hosts."""

import json
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Response

from eddyline.service.browser.page import HtmlPage
from eddyline.service.registry import Example
from eddyline_standalone.access import Access

#: The expression in the page's script that the list of examples takes the place of.
_EXAMPLES = "[/* examples */]"


class StartPage:
    """The page at `/`, which shows commands to try."""

    def __init__(self, examples: Sequence[Example], access: Access) -> None:
        # A command may hold "</script>", which would end the script.
        listed = json.dumps([[each.title, access.command(each.command)] for each in examples])
        text = Path(__file__).with_name("page.html").read_text()
        # The hub's client of events is a module of its own.
        self._page = HtmlPage(
            text.replace(_EXAMPLES, listed.replace("<", "\\u003c")), scripts="'self'"
        )

    def routes(self) -> APIRouter:
        routes = APIRouter()
        methods = ["GET", "HEAD"]
        routes.add_api_route("/", self.show, methods=methods, include_in_schema=False)
        return routes

    async def show(self) -> Response:
        return self._page.response()
