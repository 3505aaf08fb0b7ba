"""Files, sent by sendfile(2) where the server can, by large reads where not; memory is constant."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate, parsedate_to_datetime
from io import FileIO
from mimetypes import guess_type
from time import time

from starlette.background import BackgroundTask
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from eddyline.connection.base import StreamClosed
from eddyline.connection.refusal import refusal
from eddyline.connection.sendfile import READ, tells_what_waits
from eddyline.errors import NotFound, StreamingError
from eddyline.responses.body import Body, send_whole
from eddyline.responses.ranges import (
    Multipart,
    Range,
    UnsatisfiableRange,
    content_range,
    requested_ranges,
)
from eddyline.responses.regular import open_regular
from eddyline.responses.stream import ByteStream, transport_of
from eddyline.responses.threaded import ThreadedIterator
from eddyline.service.admission import StreamContext
from eddyline.threads import FILES

#: The end of a range is read, not sent by the kernel: a change shows before the range is whole.
TAIL = 64 * 1024


class FileChanged(StreamingError):
    """The file was truncated or written to while it was sent: the bytes are of no version."""


def strong_etag(status: os.stat_result) -> str:
    """Changes with every write; copies with the same times have the same on every replica.

    Without the inode, then: a file that takes the name over must have another time or size.
    """
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


class FileResponse(Response):
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
        self.status_code = 200
        guessed = guess_type(self._to_open or "")[0] or "application/octet-stream"
        self.media_type: str = media_type or guessed
        self.background: BackgroundTask | None = None
        given = {**(headers or {}), "accept-ranges": "bytes"}
        # No `self.body`: Starlette would take its length for the Content-Length.
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
        self._lane = FILES.lane(self.version.st_dev)
        self._waits = not tells_what_waits(file.fileno())
        return _version_headers(self.version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._to_open is not None:
            try:
                lane = FILES.lane(os.path.dirname(self._to_open))
                file = await lane.run(open_regular, self._to_open)
                self.headers.update(self._use(file))
            except BaseException as error:
                self.context.permit.release()
                if not isinstance(error, NotFound):
                    raise
                return await refusal(Request(scope), error)(scope, receive, send)
        await self._respond(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = transport_of(scope)
        try:
            whole = self._whole(scope) if transport is not None and transport.idle else None
            if transport is None or whole is None:
                await self._stream(scope, receive, send)
            else:
                await send_whole(self.context, Body(send, 200, self.raw_headers), whole)
        finally:
            # A file system that cannot tell which calls wait may let closing wait, too.
            await self._lane.run(self.file.close) if self._waits else self.file.close()

    def _whole(self, scope: Scope) -> bytes | None:
        """The file, if it is small, all of it is asked for, and no disk has to be waited for."""
        if self.version.st_size > TAIL or scope["method"] != "GET" or _asks_for_range(scope):
            return None
        data = _read_cached(self.file.fileno(), self.version.st_size)
        # One that has changed is for `_stream`, which cuts it off and counts it.
        return None if data is None or self._is_changed() else data

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.stream: ByteStream = ByteStream(self.context, scope, send)
        await self.stream.run(receive, lambda: self._answer(scope, receive, self.stream.send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        head_only = scope["method"] == "HEAD"
        try:
            ranges = self._ranges(scope["method"], Headers(scope=scope))
        except UnsatisfiableRange:
            headers = {"content-range": f"bytes */{self.version.st_size}"}
            return await PlainTextResponse("", 416, headers)(scope, receive, send)
        if len(ranges) > 1:
            await self._send_parts(send, ranges, head_only)
        else:
            await self._send_one(send, ranges, head_only)

    def _ranges(self, method: str, headers: Headers) -> list[Range]:
        """The ranges to send; none: the whole file. Raises UnsatisfiableRange."""
        wanted, validator = headers.get("range"), headers.get("if-range")
        if wanted is None or method not in ("GET", "HEAD"):
            return []
        if validator is not None and not self._is_version(validator):
            return []
        return requested_ranges(wanted, self.version.st_size)

    def _is_version(self, validator: str) -> bool:
        """Whether an `If-Range` stands for the file as it is (RFC 9110 §13.1.5)."""
        if validator.startswith('"'):
            return validator == self.headers["etag"]
        # §8.8.2.2: a date that is this second's may stand for two versions.
        fresh = time() - self.version.st_mtime < 2
        modified = self.headers.get("last-modified", "")
        return not fresh and _same_moment(validator, modified)

    async def _send_one(self, send: Send, ranges: Sequence[Range], head_only: bool) -> None:
        """The whole file, or the one range of it."""
        size = self.version.st_size
        start, end = ranges[0] if ranges else (0, size)
        headers = {}
        if ranges:
            headers = {
                "content-range": content_range((start, end), size),
                "content-length": str(end - start),
            }
        body = await self._begin(send, 206 if ranges else 200, headers)
        if head_only or start == end:
            return await body.end()
        await self._send_range(body, start, end, last=True)

    async def _send_parts(self, send: Send, ranges: Sequence[Range], head_only: bool) -> None:
        parts = Multipart(ranges, self.version.st_size, self.headers["content-type"])
        body = await self._begin(send, 206, parts.headers)
        if head_only:
            return await body.end()
        for start, end in ranges:
            await body.write(parts.head((start, end)))
            await self._send_range(body, start, end)
            await body.write(parts.AFTER_PART)
        await body.end(parts.end)

    async def _begin(self, send: Send, status: int, headers: Mapping[str, str]) -> Body:
        merged = MutableHeaders(raw=list(self.raw_headers))
        merged.update(headers)
        body = Body(send, status, merged.raw)
        await body.begin()
        return body

    async def _send_range(self, body: Body, start: int, end: int, *, last: bool = False) -> None:
        if self.stream.transport is not None and not self._waits:
            zero_copy_end = max(start, end - TAIL)
            await self._send_by_kernel(start, zero_copy_end)
            start = zero_copy_end
        reads = ThreadedIterator(self._reads(start, end), self._lane)
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
    except OSError:  # the read would block, or the file system cannot tell
        return None
    return bytes(data) if read == size else None


def _same_moment(one: str, other: str) -> bool:
    try:
        return parsedate_to_datetime(one) == parsedate_to_datetime(other)
    except (ValueError, OverflowError):  # a year of twenty digits is too large for a C int
        return False
