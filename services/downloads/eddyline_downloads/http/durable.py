"""A file as a durable stream of bytes, read-only: `GET /download/{path}?offset=…&live=…`.

For files that grow at their ends. An offset is a place in the file, and a digest of bytes at the
beginning and right before it: it is gone where the file was replaced, cut off or written to there.
The protocol: https://github.com/durable-streams/durable-streams, PROTOCOL.md.
"""

import asyncio
import os
import random
import re
import time
from collections.abc import AsyncIterator
from contextlib import closing
from hashlib import blake2b

from fastapi import Request, Response

from eddyline.auth.principal import Principal
from eddyline.durable.base import BadOffset, LiveRead, OffsetGone, Piece
from eddyline.durable.events import control_event, data_event
from eddyline.durable.headers import SECURITY
from eddyline.durable.offset import ZERO
from eddyline.durable.payload import BYTES
from eddyline.durable.reader import Admission, Reader, ReadPolicy
from eddyline.errors import NotFound
from eddyline.responses.pull import PullResponse
from eddyline.service.app import Context
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.threads import FILES, Lane
from eddyline.wire import sse
from eddyline_downloads.http.media import BINARY
from eddyline_downloads.stores.base import Store

#: Seconds between two looks at a file that a client waits for.
PAUSE = 0.25

#: Bytes at the beginning of a file and before an offset, by which the offset knows them.
KNOWN = 256

#: Bytes of one event of a live read.
EVENT_BYTES = 64 * 1024

_OFFSET = re.compile(r"([0-9]{16})_([0-9a-f]{16})\Z")


class FileStreams:
    """Answers requests that name an offset. One for each process."""

    def __init__(self, context: Context, store: Store) -> None:
        self._context = context
        self._store = store
        self._meter = StreamMetrics("downloads", "pull")
        self._reader = Reader(ReadPolicy(public=False))

    async def respond(self, request: Request, path: str, caller: Principal) -> Response:
        """Raises BadRequest, OffsetGone, NotFound, Unavailable and Overloaded."""
        source = FileSource(self._context, self._store, self._meter, path)
        if request.method == "HEAD":
            return await self._reader.head(source)
        limits = self._context.limits
        admission = Admission(lambda: limits.for_request(request, caller), caller.expires)
        return await self._reader.get(request, source, admission)


class FileSource:
    """One file. Of any media type it is bytes, for these have no messages; it has no end."""

    content_type = BINARY
    headers: dict[str, str] = {}  # noqa: RUF012 - the protocol's type

    def __init__(self, context: Context, store: Store, meter: StreamMetrics, path: str) -> None:
        self._context = context
        self._store = store
        self._meter = meter
        self._path = path

    async def tail(self) -> Piece:
        with closing(await self._store.open(self._path)) as file:
            fd = file.fileno()
            return await _lane(fd).run(_tail, fd)

    async def read(self, after: str | None, limit: int) -> Piece:
        offset = None if after in (None, ZERO) else after
        with closing(await self._store.open(self._path)) as file:
            fd = file.fileno()
            return await _lane(fd).run(_read, fd, offset, limit)

    async def wait(self, after: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._context.drain.draining:
            try:
                if (await self.tail()).next != after:
                    return
            except NotFound:
                return
            await asyncio.sleep(min(PAUSE, max(0.0, end - time.monotonic())))

    async def follow(self, after: str, read: LiveRead) -> Response:
        # Jittered, so that clients that came together do not come back together.
        end = time.monotonic() + read.seconds * random.uniform(0.8, 1.0)
        return PullResponse(
            lambda: self._events(after, read, end),
            self._context.stream(self._meter, read.permit, read.expires),
            media_type=sse.EVENT_STREAM,
            headers={**SECURITY, "stream-sse-data-encoding": "base64"},
        )

    async def _events(self, after: str, read: LiveRead, end: float) -> AsyncIterator[bytes]:
        at_tail, heartbeat = False, self._context.settings.policy.heartbeat
        while True:
            try:
                piece = await self.read(after, EVENT_BYTES)
            except (OffsetGone, NotFound):
                return  # the client comes back, and is told
            data = data_event(BYTES.lines(piece.parts)) if piece.parts else b""
            if data or piece.at_tail != at_tail:
                yield data + control_event(piece.next, read.cursor, at_tail=piece.at_tail)
            elif piece.at_tail:
                yield sse.COMMENT
            after, at_tail = piece.next, piece.at_tail
            if time.monotonic() >= end or self._context.drain.draining:
                return
            if at_tail:
                await self.wait(after, min(heartbeat, end - time.monotonic()))


def _lane(fd: int) -> Lane:
    return FILES.lane(os.fstat(fd).st_dev)


def _tail(fd: int) -> Piece:
    size = os.fstat(fd).st_size
    offset = _offset(fd, size)
    return Piece([], offset, offset, at_tail=True)


def _read(fd: int, after: str | None, limit: int) -> Piece:
    at = 0 if after is None else _place(fd, after)
    size = os.fstat(fd).st_size
    data = os.pread(fd, min(limit, max(0, size - at)), at)
    if after is not None:
        _place(fd, after)  # cut off and written anew in the meantime?
    start, following = after or _offset(fd, 0), _offset(fd, at + len(data))
    return Piece([data] if data else [], start, following, at_tail=at + len(data) >= size)


def _place(fd: int, offset: str) -> int:
    """The place of an offset. Raises BadOffset and OffsetGone."""
    match = _OFFSET.match(offset)
    if match is None:
        raise BadOffset(f"{offset[:80]!r} is no offset: give back one that a response has named")
    at = int(match[1])
    if at > os.fstat(fd).st_size or _offset(fd, at) != offset:
        raise OffsetGone(f"the file was replaced, cut off or written to before {at}: read from -1")
    return at


def _offset(fd: int, at: int) -> str:
    status = os.fstat(fd)
    digest = blake2b(repr((status.st_dev, status.st_ino, at)).encode(), digest_size=8)
    digest.update(os.pread(fd, min(KNOWN, at), 0))
    digest.update(os.pread(fd, min(KNOWN, at), max(0, at - KNOWN)))
    return f"{at:016d}_{digest.hexdigest()}"
