"""Static files of the events service for browsers: the JavaScript client and the debug page."""

import functools
import hashlib
from pathlib import Path

from fastapi import APIRouter, Request, Response

from eddyline.service.browser.page import HtmlPage

_STATIC = Path(__file__).parents[1] / "static"


class BrowserFiles:
    """Both files are read once, at the start."""

    def __init__(self) -> None:
        self._client = _STATIC.joinpath("eddyline.js").read_bytes()
        self._debug = HtmlPage((_STATIC / "debug.html").read_text(), scripts="'self'")
        self._headers = {
            # Its URL names no version, so browsers ask each time whether it has changed.
            "Cache-Control": "no-cache",
            "ETag": f'"{hashlib.sha256(self._client).hexdigest()[:24]}"',
            # Browsers fetch modules by CORS, and pages of other origins use the hub, too.
            "Access-Control-Allow-Origin": "*",
            "X-Content-Type-Options": "nosniff",
        }

    def routes(self) -> APIRouter:
        routes = APIRouter()
        add = functools.partial(
            routes.add_api_route, methods=["GET", "HEAD"], include_in_schema=False
        )
        add("/events/static/eddyline.js", self.javascript_client)
        add("/events/debug", self.debug_page)
        return routes

    async def javascript_client(self, request: Request) -> Response:
        if self._headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self._headers)
        return Response(self._client, media_type="text/javascript", headers=self._headers)

    async def debug_page(self) -> Response:
        return self._debug.response()
