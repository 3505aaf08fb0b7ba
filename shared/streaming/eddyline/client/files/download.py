"""A file, by several ranges at once: of one version, checked by its digest, whole or absent."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import orjson

from eddyline.client.api import Api, Attempts
from eddyline.client.errors import DigestMismatch, Failed, Refused
from eddyline.client.files.part import Part, Piece, Version

#: Bytes that are written at once.
_WRITE = 1024 * 1024

#: How often a file may change while it is downloaded.
_MOST_VERSIONS = 5

_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):")
T = TypeVar("T")

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes that are there, of `size`. `version` counts from 1; the server's file has changed where
    it is higher.
    """

    done: int
    size: int
    version: int = 1


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A whole file. `resumed`: bytes that an earlier attempt had brought.

    `sha256`, in hex, is that of the bytes, where the server or the caller named it; None where
    nobody did: then only the number of the bytes and their version were checked.
    """

    path: Path
    size: int
    etag: str | None
    resumed: int
    sha256: str | None


class Changed(Exception):
    """The server has another version of the file by now."""


async def download(
    api: Api,
    path: str,
    target: Path,
    *,
    connections: int,
    sha256: str | None,
    progress: Callable[[Progress], None],
) -> Downloaded:
    """See AsyncClient.download."""
    for number in range(1, _MOST_VERSIONS + 1):
        version, digest = await _look(api, path)
        part = Part(target, version)
        try:
            fetching = _Fetching(api, path, version, part, number, progress)
            await fetching.run(connections)
            digest = sha256 or digest
            if digest is not None:
                await _check(part, digest)
            await _in_thread(part.finish)
            return Downloaded(target, version.size, version.etag, part.resumed, digest)
        except Changed:
            part.discard()
        finally:
            part.close()
    raise Failed(200, f"{path} changed {_MOST_VERSIONS} times while it was downloaded")


async def files(api: Api, prefix: str) -> AsyncIterator[dict[str, Any]]:
    """See AsyncClient.files."""
    cursor: str | None = ""
    while cursor is not None:
        query = [("prefix", prefix), ("cursor", cursor), ("limit", "1000")]
        page = orjson.loads((await api.request("GET", "files", query)).content)
        for file in page["files"]:
            yield file
        cursor = page["cursor"]


async def _look(api: Api, path: str) -> tuple[Version, str | None]:
    """The version that there is now, and its SHA-256 in hex where the server knows it."""
    # RFC 9530 section 4 for the wish.
    head = await api.request("HEAD", path, headers={"Want-Repr-Digest": "sha-256=10"})
    etag = head.headers.get("etag", "")
    ranges = head.headers.get("accept-ranges", "") == "bytes"
    found = _SHA256.search(head.headers.get("repr-digest", ""))
    try:
        size = int(head.headers["content-length"])
    except (KeyError, ValueError):
        raise Refused(head.status_code, f"{path} has no size: it is no file") from None
    strong = etag if etag.startswith('"') and ranges else None
    return Version(str(api.at(path)), size, strong), (
        base64.b64decode(found[1]).hex() if found else None
    )


async def _check(part: Part, digest: str) -> None:
    def of_file() -> str:
        with part.open() as file:
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()

    found = await _in_thread(of_file)
    if found != digest.lower():
        part.discard()
        raise DigestMismatch(f"the SHA-256 is {found}, and should be {digest.lower()}")


class _Fetching:
    """One version of the file on its way."""

    def __init__(
        self,
        api: Api,
        path: str,
        version: Version,
        part: Part,
        number: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self._api = api
        self._path = path
        self._version = version
        self._part = part
        self._number = number
        self._progress = progress
        self._done = part.done

    async def run(self, connections: int) -> None:
        missing = iter([piece for piece in self._part.pieces if piece.at < piece.end])
        self._tell(0)

        async def work() -> None:
            for piece in missing:  # each worker takes the next one
                await self._fetch(piece)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(connections):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            # Workers fail together: the first error is the reason.
            raise errors.exceptions[0] from None
        finally:
            await _in_thread(self._part.note)

    async def _fetch(self, piece: Piece) -> None:
        """Until the piece is whole: an attempt that brought something renews the patience."""
        attempts = Attempts(self._api.patience)
        while piece.at < piece.end:
            before = piece.at
            try:
                await self._read(piece)
            except (Failed, httpx.TransportError) as error:
                if piece.at > before:
                    attempts.succeeded()
                await attempts.pause(error)
                if self._version.etag is None:
                    self._tell(piece.start - piece.at)
                    self._part.begin_again(piece)

    async def _read(self, piece: Piece) -> None:
        headers = {}
        if self._version.etag is not None:
            headers = {
                "Range": f"bytes={piece.at}-{piece.end - 1}",
                "If-Range": self._version.etag,
            }
        try:
            async with self._api.stream("GET", self._path, headers=headers) as response:
                self._require_range(response, piece)
                await self._take(response, piece)
        except Refused as error:
            if error.status in (412, 416):
                raise Changed from error
            raise

    def _require_range(self, response: httpx.Response, piece: Piece) -> None:
        """Raises Changed where the answer is another version, or not the range."""
        if self._version.etag is None:
            same = response.headers.get("content-length") == str(self._version.size)
        else:
            found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
            wanted = (piece.at, piece.end - 1, self._version.size)
            same = response.status_code == 206 and found is not None
            same = same and tuple(map(int, found.groups() if found else ())) == wanted
        if not same:
            raise Changed

    async def _take(self, response: httpx.Response, piece: Piece) -> None:
        gathered: list[bytes] = []
        size = 0
        try:
            async for chunk in response.aiter_raw():
                gathered.append(chunk)
                size += len(chunk)
                if size >= _WRITE:
                    await self._write(piece, b"".join(gathered))
                    gathered, size = [], 0
        finally:
            await self._write(piece, b"".join(gathered))

    async def _write(self, piece: Piece, data: bytes) -> None:
        if piece.at + len(data) > piece.end:
            raise Changed  # more than the range: an answer of no server that can be trusted
        if data:
            await _in_thread(self._part.write, piece, data)
            self._tell(len(data))

    def _tell(self, count: int) -> None:
        self._done += count
        self._progress(Progress(self._done, self._version.size, self._number))


async def _in_thread(work: Callable[..., T], *args: Any) -> T:
    """The result of `work`; a caller that is cancelled waits for its end.

    A thread that went on alone would write to a descriptor that is closed, or another file's by
    then.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def path_of(file: str) -> str:
    """The path on the server of a file's name; a name may have slashes."""
    return f"download/{quote(file)}"
