"""The start page: one file, without anything from elsewhere."""

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Response

_PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")


def _sources(tag: str) -> str:
    """What the page's policy allows for `tag`: the hashes of what stands in the page itself."""
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in found)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; connect-src 'self'; img-src data:; script-src {_sources('script')};"
        f" style-src {_sources('style')}; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


def router() -> APIRouter:
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    @routes.head("/", include_in_schema=False)
    async def start_page() -> Response:
        return Response(_PAGE, media_type="text/html", headers=_HEADERS)

    return routes
