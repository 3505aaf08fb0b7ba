"""HTTP of the downloads service."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from io import FileIO
from time import time
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from eddyline.auth.principal import Principal
from eddyline.errors import BadRequest, NotFound
from eddyline.files.digests.digests import Digests
from eddyline.files.version import FileVersion
from eddyline.responses.file import FileResponse
from eddyline.responses.pull import PullResponse
from eddyline.service.access import Caller
from eddyline.service.app import Context
from eddyline.service.raw_route import RawRoute
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_downloads.generated import CHUNK, generated
from eddyline_downloads.http import openapi
from eddyline_downloads.http.access import Reader, principal_of
from eddyline_downloads.http.durable import FileStreams
from eddyline_downloads.http.folder_page import date_of, folder_response
from eddyline_downloads.http.folders import Entry, read_folder
from eddyline_downloads.http.headers import FileHeaders, Kind
from eddyline_downloads.http.media import BINARY, media_type
from eddyline_downloads.http.openapi import FileInfo, FileList, Small
from eddyline_downloads.http.sums import sums
from eddyline_downloads.settings import DownloadsSettings
from eddyline_downloads.stores.base import Store, absent, checked
from eddyline_downloads.stores.codings import open_coded

#: Entries of a folder's page by default, and at most.
ENTRIES, MOST_ENTRIES = 1000, 10_000

#: Chunks of `GET /stream` by default (64 MiB), and at most (1 TiB).
CHUNKS = 1024
MAX_CHUNKS = 1024**4 // CHUNK


class DownloadsApi:
    """The routes of the service; each public method but `routes` and `send` is an endpoint."""

    def __init__(
        self,
        context: Context,
        settings: DownloadsSettings,
        store: Store,
        digests: Digests | None = None,
    ) -> None:
        self._digests = digests
        self._context = context
        self._settings = settings
        self._store = store
        self._durable = FileStreams(context, store)
        self._headers = FileHeaders(settings, private=context.authenticator.enabled)
        self._files = StreamMetrics("downloads", "file")
        self._pulls = StreamMetrics("downloads", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter()
        _add_file_route(routes, "/download/{path:file}", self.download_file)
        _add_file_route(routes, "/static", self.show_demo_file)
        _add_file_route(routes, "/static/{path:file}", self.show_file)
        routes.add_api_route("/files", self.list_files)
        for path in ("/archive/SHA256SUMS", "/archive/{path:file}/SHA256SUMS"):
            routes.add_api_route(
                path,
                self.list_digests,
                response_class=Response,
                responses=openapi.SUMS,
                openapi_extra=openapi.FOLDER,
                include_in_schema="{" in path,
            )
        routes.add_api_route("/small", self.read_small)
        routes.add_api_route(
            "/stream", self.stream_chunks, response_class=Response, responses=openapi.CHUNKS
        )
        return routes

    async def download_file(self, request: Request) -> Response:
        """The file, to be saved; ranges and `If-Range` resume an interrupted download."""
        return await self._send(request, request.path_params["path"], "attachment")

    async def show_demo_file(self, request: Request) -> Response:
        """One file, to be shown: DOWNLOADS_DEMO_FILE."""
        return await self._send(request, self._settings.demo_file, "inline")

    async def show_file(self, request: Request) -> Response:
        """The file, to be shown."""
        return await self._send(request, request.path_params["path"], "inline")

    async def list_files(
        self,
        caller: Reader,
        prefix: Annotated[str, Query(max_length=4096)] = "",
        cursor: Annotated[str, Query(max_length=4096)] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> FileList:
        """The files that the caller may read, in the order of their paths; `cursor` goes on."""
        page = await self._store.page(
            prefix, cursor, limit, partial(caller.allows, "downloads", "read")
        )
        versions = [entry.version for entry in page.files]
        if self._digests is not None:
            versions = await self._digests.recall(versions)
        now = time()
        files = [
            _described(entry.path, version, now)
            for entry, version in zip(page.files, versions, strict=True)
        ]
        return {"files": files, "cursor": page.cursor}

    async def list_digests(self, request: Request, caller: Reader) -> Response:
        """The SHA-256 of each file of a folder, for `sha256sum --check`."""
        digests = self._digests
        if digests is None:
            raise NotFound("there are no digests: DOWNLOADS_DIGESTS=off")
        folder = request.path_params.get("path", "")
        if folder:
            checked(folder)
        may_read = partial(caller.allows, "downloads", "read")
        with self._context.limits.for_request(request, caller) as permit:
            stream = self._context.stream(self._pulls, permit, caller.expires)
            return PullResponse(
                lambda: sums(self._store, digests, folder, may_read),
                stream,
                media_type="text/plain",
                head_at_once=False,
            )

    async def read_small(self, _: Caller) -> Small:
        """A small answer, all of it in memory."""
        return {"data": [1, 2, 3]}

    async def stream_chunks(
        self,
        request: Request,
        caller: Caller,
        chunks: Annotated[int, Query(ge=1, le=MAX_CHUNKS)] = CHUNKS,
    ) -> Response:
        """A large answer: chunks of 64 KiB, made as the client takes them."""
        with self._context.limits.for_request(request, caller) as permit:
            stream = self._context.stream(self._pulls, permit, caller.expires)
            return PullResponse(lambda: generated(chunks), stream, media_type=BINARY)

    async def _send(self, request: Request, path: str, kind: Kind) -> Response:
        caller = await principal_of(self._context.authenticator, request)
        return await self.send(request, path, kind, caller)

    async def send(self, request: Request, path: str, kind: Kind, caller: Principal) -> Response:
        """The file at `path`, or the folder if that ends in a slash, by the rights of `caller`."""
        _refuse_encoded_slash(request)
        if path == "" or path.endswith("/"):
            path = path + self._settings.index if kind == "inline" else path
            if path == "" or path.endswith("/"):
                return await self._list_folder(request, path, caller)
        caller.require("downloads", "read", checked(path))
        if "offset" in request.query_params:
            return await self._durable.respond(request, path, caller)
        with self._context.limits.for_request(request, caller) as permit:
            media = media_type(path)
            headers = self._headers.of(kind, path, media)
            stream = self._context.stream(self._files, permit, caller.expires)
            file = await self._open(request, path, headers)
            return FileResponse(
                file, stream, media_type=media, headers=headers, digests=self._digests
            )

    async def _open(self, request: Request, path: str, headers: dict[str, str]) -> FileIO:
        """The file, as it is or compressed; `headers` get those that say so."""
        if not self._settings.precompressed:
            return await self._store.open(path)
        accept = ",".join(request.headers.getlist("accept-encoding"))
        file, coding = await open_coded(self._store, path, accept)
        # On each answer, or a cache would give the one to clients that asked for the other.
        headers["Vary"] = "Accept-Encoding"
        if coding is not None:
            headers["Content-Encoding"] = coding
        return file

    async def _list_folder(self, request: Request, path: str, caller: Principal) -> Response:
        if path:
            checked(path[:-1])
        after, limit = _page_asked(request)
        may_read = partial(caller.allows, "downloads", "read")
        folder = await read_folder(self._store, path, after, limit, may_read)
        if path and not folder.entries and not after:
            raise absent(path)
        files = [entry.version for entry in folder.entries if entry.version is not None]
        known = iter(files if self._digests is None else await self._digests.recall(files))
        entries = [Entry(e.name, e.version and next(known)) for e in folder.entries]
        private = self._context.authenticator.enabled
        folder = replace(folder, entries=entries)
        # A page of 10,000 entries would hold up all streams.
        return await asyncio.to_thread(folder_response, request, folder, private=private)


def _described(path: str, version: FileVersion, now: float) -> FileInfo:
    return {
        "path": path,
        "size": version.size,
        "modified": date_of(version.modified),
        "etag": version.etag(now),
        "sha256": version.sha256.hex() if version.sha256 is not None else None,
        "media_type": media_type(path),
    }


def _page_asked(request: Request) -> tuple[str, int]:
    """The cursor and the limit of a raw route's query; raises BadRequest."""
    unknown = set(request.query_params) - {"cursor", "limit"}
    if unknown:
        raise BadRequest(f"{sorted(unknown)[0]!r} is no parameter of a folder: cursor, limit")
    limit = request.query_params.get("limit", str(ENTRIES))
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= MOST_ENTRIES:
        raise BadRequest(f"limit={limit[:20]!r}: expected 1 to {MOST_ENTRIES}")
    return request.query_params.get("cursor", ""), int(limit)


def _add_file_route(
    routes: APIRouter, path: str, endpoint: Callable[[Request], Awaitable[Response]]
) -> None:
    routes.add_api_route(
        path,
        endpoint,
        response_class=Response,
        responses=openapi.FILE,
        openapi_extra=openapi.RANGES,
        route_class_override=RawRoute,
    )
    routes.add_api_route(
        path,
        endpoint,
        methods=["HEAD"],
        include_in_schema=False,
        openapi_extra=openapi.RANGES,
        route_class_override=RawRoute,
    )


def _refuse_encoded_slash(request: Request) -> None:
    """A proxy in front may have checked the path as it is written, and not as it is decoded."""
    if b"%2f" in bytes(request.scope.get("raw_path") or b"").lower():
        raise BadRequest("an encoded slash (%2F) is not a part of any file's name")


class _AnyPath(Convertor[str]):
    """A path with all characters that a file's name can have: Starlette's own has no newline."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("file", _AnyPath())
