"""What the events service gives to browsers as it is: the JavaScript client and the debug page."""

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request, Response

from eddyline.service.browser.page import Page

_STATIC = Path(__file__).parents[1] / "static"


def router() -> APIRouter:
    routes = APIRouter()
    client = _STATIC.joinpath("eddyline.js").read_bytes()
    debug = Page((_STATIC / "debug.html").read_text(), scripts="'self'")
    headers = {
        # Its URL names no version: browsers ask each time, and are told that it is unchanged.
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(client).hexdigest()[:24]}"',
        # Modules are fetched by CORS, and pages of other origins use the hub, too.
        "Access-Control-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
    }

    @routes.get("/events/static/eddyline.js", include_in_schema=False)
    @routes.head("/events/static/eddyline.js", include_in_schema=False)
    async def javascript_client(request: Request) -> Response:
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(client, media_type="text/javascript", headers=headers)

    @routes.get("/events/debug", include_in_schema=False)
    @routes.head("/events/debug", include_in_schema=False)
    async def debug_page() -> Response:
        return debug.response()

    return routes
