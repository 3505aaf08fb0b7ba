"""Files, sent by sendfile(2) where the server can, by large reads where not; memory is constant."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate, parsedate_to_datetime
from io import FileIO
from mimetypes import guess_type
from secrets import token_hex
from time import time

from starlette import responses
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import MalformedRangeHeader
from starlette.types import Receive, Scope, Send

from eddyline.connection.base import StreamClosed
from eddyline.connection.refusal import refusal
from eddyline.connection.sendfile import READ
from eddyline.errors import NotFound, StreamingError
from eddyline.responses.body import Body, send_whole
from eddyline.responses.regular import open_regular
from eddyline.responses.stream import ByteStream, transport_of
from eddyline.responses.threaded import ThreadedIterator
from eddyline.service.admission import StreamContext

#: The end of a range is read, not sent by the kernel: a change shows before the range is whole.
TAIL = 64 * 1024

#: Bytes `start` up to, not including, `end`.
Range = tuple[int, int]


class FileChanged(StreamingError):
    """The file was truncated or written to while it was sent: the bytes are of no version."""


def strong_etag(status: os.stat_result) -> str:
    """Changes with every write; copies with the same times have the same on every replica.

    Without the inode, then: a file that takes the name over must have another time or size.
    """
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


class FileResponse(responses.FileResponse):
    """A file, with ranges and a strong ETag; one that is written to meanwhile is cut short.

        return FileResponse("/srv/films/a.mp4")

    `file`: a path, which is opened in a thread when the response is sent, and answered by 404 where
    no regular file is there; or a file that is open already: a path that was checked may lead
    elsewhere by the time it is opened. The response closes it, also where it cannot be made.
    `media_type`: by default the one of the path's suffix. `context`: the limits and measures of a
    service.
    """

    file: FileIO

    def __init__(
        self,
        file: FileIO | str | os.PathLike[str],
        context: StreamContext | None = None,
        *,
        media_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.context: StreamContext = context or StreamContext.from_defaults("file")
        self._to_open = None if isinstance(file, FileIO) else os.fspath(file)
        self.path: str = self._to_open or "-"  # for Starlette's error texts only
        self.status_code = 200
        guessed = guess_type(self.path)[0] or "application/octet-stream"
        self.media_type: str = media_type or guessed
        self.background: BackgroundTask | None = None
        given = {**(headers or {}), "accept-ranges": "bytes"}
        # Starlette's __init__ would look through all headers for each that it adds.
        if isinstance(file, FileIO):
            try:
                self.init_headers({**given, **self._use(file)})
            except BaseException:
                file.close()
                raise
        else:
            self.init_headers(given)
        self.context.permit.hand_over()

    def _use(self, file: FileIO) -> dict[str, str]:
        """Takes an open file over; the headers that tell its version."""
        self.file = file
        self.version: os.stat_result = os.fstat(file.fileno())
        self.stat_result: os.stat_result = self.version
        return _version_headers(self.version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._to_open is not None:
            try:
                file = await asyncio.to_thread(open_regular, self._to_open)
                self.headers.update(self._use(file))
            except BaseException as error:
                self.context.permit.release()
                if not isinstance(error, NotFound):
                    raise
                return await refusal(Request(scope), error)(scope, receive, send)
        await self._respond(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = transport_of(scope)
        try:
            whole = self._whole(scope) if transport is not None and transport.idle else None
            if transport is None or whole is None:
                await self._stream(scope, receive, send)
            else:
                await send_whole(self.context, Body(send, 200, self.raw_headers), whole)
        finally:
            self.file.close()

    def _whole(self, scope: Scope) -> bytes | None:
        """The file, if it is small, all of it is asked for, and no disk has to be waited for."""
        if self.version.st_size > TAIL or scope["method"] != "GET" or _asks_for_range(scope):
            return None
        data = _read_cached(self.file.fileno(), self.version.st_size)
        # One that has changed is for `_stream`, which cuts it off and counts it.
        return None if self._is_changed() else data

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        # From 2.4 on Starlette does not wait for the disconnect; ByteStream does, on every server.
        alone: Scope = {**scope, "asgi": {**scope["asgi"], "spec_version": "2.4"}}
        self.stream: ByteStream = ByteStream(self.context, scope, send)
        respond = super().__call__
        await self.stream.run(receive, lambda: respond(alone, receive, self.stream.send))

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[Range]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            # RFC 9110 §14.2: a header that is not understood is as if it were not there.
            return []

    def _should_use_range(self, http_if_range: str) -> bool:
        if http_if_range.startswith('"'):
            return http_if_range == self.headers["etag"]
        # RFC 9110 §8.8.2.2: a date that is this second's may stand for two versions.
        fresh = time() - self.version.st_mtime < 2
        modified = self.headers.get("last-modified", "")
        return not fresh and _same_moment(http_if_range, modified)

    async def _handle_simple(self, send: Send, send_header_only: bool, _: bool) -> None:
        body = await self._begin(send, 200, {})
        await self._send_only_range(body, 0, 0 if send_header_only else self.version.st_size)

    async def _handle_single_range(
        self, send: Send, start: int, end: int, file_size: int, send_header_only: bool
    ) -> None:
        headers = {
            "content-range": f"bytes {start}-{end - 1}/{file_size}",
            "content-length": str(end - start),
        }
        body = await self._begin(send, 206, headers)
        await self._send_only_range(body, start, start if send_header_only else end)

    async def _handle_multiple_ranges(
        self, send: Send, ranges: Sequence[Range], file_size: int, send_header_only: bool
    ) -> None:
        boundary = token_hex(13)
        length, part_head = self.generate_multipart(
            ranges, boundary, file_size, self.headers["content-type"]
        )
        headers = {
            "content-type": f"multipart/byteranges; boundary={boundary}",
            "content-length": str(length),
        }
        body = await self._begin(send, 206, headers)
        if send_header_only:
            return await body.end()
        for start, end in ranges:
            await body.write(part_head(start, end))
            await self._send_range(body, start, end)
            await body.write(b"\r\n")
        await body.end(f"--{boundary}--".encode())

    async def _begin(self, send: Send, status: int, headers: Mapping[str, str]) -> Body:
        merged = MutableHeaders(raw=list(self.raw_headers))
        merged.update(headers)
        body = Body(send, status, merged.raw)
        await body.begin()
        return body

    async def _send_only_range(self, body: Body, start: int, end: int) -> None:
        if start == end:
            return await body.end()
        await self._send_range(body, start, end, last=True)

    async def _send_range(self, body: Body, start: int, end: int, *, last: bool = False) -> None:
        if self.stream.transport is not None:
            zero_copy_end = max(start, end - TAIL)
            await self._send_by_kernel(start, zero_copy_end)
            start = zero_copy_end
        reads = ThreadedIterator(self._reads(start, end))
        try:
            async for chunk in reads:
                start += len(chunk)
                await (body.end if last and start == end else body.write)(chunk)
        finally:
            await reads.aclose()

    async def _send_by_kernel(self, start: int, end: int) -> None:
        file = self.file.fileno()
        try:
            await self.stream.send_file(file, start, end - start, self._check_unchanged)
        except StreamClosed:
            # A file that ends early is the reason as often as a client that left.
            self._check_unchanged()
            raise

    def _reads(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            chunk = os.pread(self.file.fileno(), min(READ, end - start), start)
            self._check_unchanged()
            if not chunk:
                raise FileChanged(f"the file ends at byte {start}, {end} were promised")
            yield chunk
            start += len(chunk)

    def _check_unchanged(self) -> None:
        if self._is_changed():
            was, now = self.version.st_size, os.fstat(self.file.fileno()).st_size
            raise FileChanged(f"the file was written to: {was} bytes long before, {now} now")

    def _is_changed(self) -> bool:
        now, was = os.fstat(self.file.fileno()), self.version
        return (now.st_size, now.st_mtime_ns) != (was.st_size, was.st_mtime_ns)


def _version_headers(version: os.stat_result) -> dict[str, str]:
    headers = {"content-length": str(version.st_size), "etag": strong_etag(version)}
    # A file system can hold dates that HTTP cannot write: those after the year 9999, for one. RFC
    # 9110 section 8.8.2 lets a response have none.
    with suppress(ValueError, OverflowError, OSError):
        headers["last-modified"] = formatdate(version.st_mtime, usegmt=True)
    return headers


def _asks_for_range(scope: Scope) -> bool:
    return any(name == b"range" for name, _ in scope["headers"])


def _read_cached(file: int, size: int) -> bytes | None:
    """The first `size` bytes, if they are in the page cache; None else."""
    if sys.platform != "linux":
        return None
    data = bytearray(size)
    try:
        read = os.preadv(file, [data], 0, os.RWF_NOWAIT)
    except OSError:  # it would block, or its file system cannot tell
        return None
    return bytes(data) if read == size else None


def _same_moment(one: str, other: str) -> bool:
    try:
        return parsedate_to_datetime(one) == parsedate_to_datetime(other)
    except ValueError:
        return False
