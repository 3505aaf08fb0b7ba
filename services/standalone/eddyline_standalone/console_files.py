"""The console at `/console`: ES modules as they are, without a build, from this host alone."""

import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

_FOLDER: Final = Path(__file__).with_name("console")
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

#: Scripts, styles and answers of this host, and nothing else.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # Its URLs name no version, so browsers ask each time whether a file has changed.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


class Console:
    """All its files, read once, at the start. They hold no data: each page asks with a token."""

    def __init__(self) -> None:
        self._files = {
            path.relative_to(_FOLDER).as_posix(): path.read_bytes()
            for path in sorted(_FOLDER.rglob("*"))
            if path.suffix in _TYPES
        }
        self._tags = {
            name: f'"{hashlib.sha256(data).hexdigest()[:24]}"' for name, data in self._files.items()
        }

    def routes(self) -> APIRouter:
        routes = APIRouter()
        methods = ["GET", "HEAD"]
        for path in ("/console", "/console/{name:path}"):
            routes.add_api_route(path, self.show, methods=methods, include_in_schema=False)
        return routes

    async def show(self, request: Request, name: str = "index.html") -> Response:
        if name not in self._files:
            return Response("no such file of the console", 404, media_type="text/plain")
        headers = _HEADERS | {"ETag": self._tags[name]}
        if self._tags[name] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self._files[name], headers=headers, media_type=_TYPES[Path(name).suffix])
