"""HTTP of the downloads service."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from downloads.generated import CHUNK, generated
from downloads.media import BINARY, content_disposition, media_type
from downloads.settings import DownloadsSettings
from downloads.store import FileStore, checked
from streaming.app import Context
from streaming.auth import Principal
from streaming.bytestream import Terms
from streaming.errors import BadRequest
from streaming.file_response import FileResponse
from streaming.metrics import StreamMetrics
from streaming.pull import PullResponse

#: Chunks of `GET /stream` by default (64 MiB), and at most (1 TiB).
CHUNKS = 1024
MAX_CHUNKS = 1024**4 // CHUNK

_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {BINARY: {}}},
    206: {"description": "The ranges that were asked for"},
    416: {"description": "A range lies outside the file"},
}


def router(context: Context, settings: DownloadsSettings, store: FileStore) -> APIRouter:
    routes = APIRouter()
    Caller = Annotated[Principal, Depends(context.authenticator.principal)]
    files = StreamMetrics("downloads", "file")
    pulls = StreamMetrics("downloads", "pull")

    async def send(
        request: Request, caller: Principal, path: str, kind: Literal["attachment", "inline"]
    ) -> Response:
        _refuse_encoded_slashes(request)
        caller.require("downloads", "read", checked(path))
        lease = context.limits.for_request(request, caller)
        try:
            file = await asyncio.to_thread(store.open, path)
        except BaseException:
            lease.release()
            raise
        media = media_type(path)
        headers = {
            "Content-Disposition": content_disposition(kind, path),
            "X-Content-Type-Options": "nosniff",
        }
        if kind == "inline" and media != "application/pdf":
            # A page or an SVG would run its scripts with the rights of this origin. PDFs have no
            # such scripts, and browsers show none in a sandbox.
            headers["Content-Security-Policy"] = "sandbox"
        terms = Terms(context, files, lease, caller.expires)
        return FileResponse(file, terms, media_type=media, headers=headers)

    @routes.get("/download/{path:path}", response_class=Response, responses=_FILE)
    @routes.head("/download/{path:path}", include_in_schema=False)
    async def download(request: Request, caller: Caller, path: str) -> Response:
        """The file, to be saved; ranges and `If-Range` resume an interrupted download."""
        return await send(request, caller, path, "attachment")

    @routes.get("/static", response_class=Response, responses=_FILE)
    @routes.head("/static", include_in_schema=False)
    async def demo_file(request: Request, caller: Caller) -> Response:
        """One file, to be shown: DOWNLOADS_DEMO_FILE."""
        return await send(request, caller, settings.demo_file, "inline")

    @routes.get("/static/{path:path}", response_class=Response, responses=_FILE)
    @routes.head("/static/{path:path}", include_in_schema=False)
    async def static(request: Request, caller: Caller, path: str) -> Response:
        """The file, to be shown."""
        return await send(request, caller, path, "inline")

    @routes.get("/files")
    async def listing(
        caller: Caller,
        prefix: Annotated[str, Query(max_length=4096)] = "",
        cursor: Annotated[str, Query(max_length=4096)] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """The files that the caller may read, in the order of their paths; `cursor` goes on."""
        page = await asyncio.to_thread(
            store.page, prefix, cursor, limit, lambda p: caller.allows("downloads", "read", p)
        )
        return {"files": page.files, "cursor": page.cursor}

    @routes.get("/small")
    async def small(_: Caller) -> dict[str, list[int]]:
        """The lesson's small answer: all of it in memory."""
        return {"data": [1, 2, 3]}

    @routes.get("/stream", response_class=Response, responses={200: {"content": {BINARY: {}}}})
    async def stream(
        request: Request,
        caller: Caller,
        chunks: Annotated[int, Query(ge=1, le=MAX_CHUNKS)] = CHUNKS,
    ) -> Response:
        """The lesson's large answer: chunks of 64 KiB, made as the client takes them."""
        lease = context.limits.for_request(request, caller)
        terms = Terms(context, pulls, lease, caller.expires)
        return PullResponse(lambda: generated(chunks), terms, media_type=BINARY)

    return routes


def _refuse_encoded_slashes(request: Request) -> None:
    """A proxy in front may have let pass by its rules what is another path once it is decoded."""
    raw = bytes(request.scope.get("raw_path") or b"").lower()
    if b"%2f" in raw or b"%5c" in raw:
        raise BadRequest("an encoded slash (%2F, %5C) is not a part of any file's name")
