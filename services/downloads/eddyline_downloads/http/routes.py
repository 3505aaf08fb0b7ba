"""HTTP of the downloads service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from eddyline.auth.authenticator import Principal
from eddyline.errors import BadRequest
from eddyline.responses.file import FileResponse
from eddyline.responses.pull import PullResponse
from eddyline.service.app import Context
from eddyline.service.raw_route import RawRoute
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_downloads.generated import CHUNK, generated
from eddyline_downloads.http.media import BINARY, content_disposition, media_type
from eddyline_downloads.settings import DownloadsSettings
from eddyline_downloads.stores.folder import FileStore, checked

#: Chunks of `GET /stream` by default (64 MiB), and at most (1 TiB).
CHUNKS = 1024
MAX_CHUNKS = 1024**4 // CHUNK

_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {BINARY: {}}},
    206: {"description": "The ranges that were asked for"},
    416: {"description": "A range lies outside the file"},
}
_PATH = {"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}


def router(context: Context, settings: DownloadsSettings, store: FileStore) -> APIRouter:
    routes = APIRouter()
    Caller = Annotated[Principal, Depends(context.authenticator.principal)]
    files = StreamMetrics("downloads", "file")
    pulls = StreamMetrics("downloads", "pull")

    async def send(request: Request, path: str, kind: Literal["attachment", "inline"]) -> Response:
        caller = await context.authenticator.principal(request)
        _refuse_encoded_slashes(request)
        caller.require("downloads", "read", checked(path))
        permit = context.limits.for_request(request, caller)
        try:
            file = store.open_cached(path)
            if file is None:
                file = await asyncio.to_thread(store.open, path)
        except BaseException:
            permit.release()
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
        stream = context.stream(files, permit, caller.expires)
        return FileResponse(file, stream, media_type=media, headers=headers)

    async def download(request: Request) -> Response:
        """The file, to be saved; ranges and `If-Range` resume an interrupted download."""
        return await send(request, request.path_params["path"], "attachment")

    async def demo_file(request: Request) -> Response:
        """One file, to be shown: DOWNLOADS_DEMO_FILE."""
        return await send(request, settings.demo_file, "inline")

    async def static(request: Request) -> Response:
        """The file, to be shown."""
        return await send(request, request.path_params["path"], "inline")

    _add_file_route(routes, "/download/{path:path}", download)
    _add_file_route(routes, "/static", demo_file)
    _add_file_route(routes, "/static/{path:path}", static)

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
        permit = context.limits.for_request(request, caller)
        stream = context.stream(pulls, permit, caller.expires)
        return PullResponse(lambda: generated(chunks), stream, media_type=BINARY)

    return routes


def _add_file_route(
    routes: APIRouter, path: str, endpoint: Callable[[Request], Awaitable[Response]]
) -> None:
    docs = {"parameters": [_PATH]} if "{" in path else None
    routes.add_api_route(
        path,
        endpoint,
        response_class=Response,
        responses=_FILE,
        openapi_extra=docs,
        route_class_override=RawRoute,
    )
    routes.add_api_route(
        path,
        endpoint,
        methods=["HEAD"],
        include_in_schema=False,
        route_class_override=RawRoute,
    )


def _refuse_encoded_slashes(request: Request) -> None:
    """A proxy in front may have let pass by its rules what is another path once it is decoded."""
    raw = bytes(request.scope.get("raw_path") or b"").lower()
    if b"%2f" in raw or b"%5c" in raw:
        raise BadRequest("an encoded slash (%2F, %5C) is not a part of any file's name")
