"""The answers to GET and HEAD of a durable stream (sections 5.5 to 5.8)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from eddyline.durable import cursors
from eddyline.durable.base import LiveRead, Piece, Source
from eddyline.durable.headers import NO_STORE, etag, is_known, live_cursor, place
from eddyline.durable.offset import BEGINNING, NOW
from eddyline.durable.payload import payload_of
from eddyline.errors import BadRequest
from eddyline.service.admission import Permit

Live = Literal["long-poll", "sse"]
_LIVE: dict[str, Live] = {"long-poll": "long-poll", "sse": "sse"}


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """How streams are read. `long_poll` and `sse`: the longest that a live read lasts, in seconds;
    `piece_bytes`: the data of one answer; `public`: whether shared caches may keep answers.
    """

    long_poll: float = 15.0
    sse: float = 60.0
    piece_bytes: int = 1024 * 1024
    public: bool = True


@dataclass(frozen=True, slots=True)
class Admission:
    """The right of one client to read live: a permit, and until when its token is good."""

    permit: Callable[[], Permit]
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class _Query:
    offset: str | None
    live: Live | None
    cursor: int | None

    @classmethod
    def parse(cls, request: Request) -> "_Query":
        """Raises BadRequest. Parameters that the protocol does not know are ignored, as it says."""
        query = request.query_params
        offsets = query.getlist("offset")
        if len(offsets) > 1 or offsets == [""]:
            raise BadRequest(f"offset={offsets}: expected one offset, -1 or now")
        live = _LIVE.get(name := query.get("live", ""))
        if name and live is None:
            raise BadRequest(f"live={name[:80]!r}: expected long-poll or sse")
        if live is not None and not offsets:
            raise BadRequest(f"live={live} wants an offset: give -1 for the beginning, or now")
        offset = offsets[0] if offsets else None
        cursor = cursors.parse(query.get("cursor"))
        return cls(None if offset == BEGINNING else offset, live, cursor)


class Reader:
    """Answers readers of any source."""

    def __init__(self, policy: ReadPolicy) -> None:
        self._policy = policy
        scope = "public" if policy.public else "private"
        self._cacheable = f"{scope}, max-age=60, stale-while-revalidate=300"

    async def head(self, source: Source) -> Response:
        """The state of a stream: its end, whether it is closed, how long it is kept."""
        headers = place(await source.tail()) | source.headers | {"Cache-Control": NO_STORE}
        headers.pop("Stream-Up-To-Date", None)
        return _response(source, 200, headers)

    async def get(self, request: Request, source: Source, admission: Admission) -> Response:
        """Data after an offset: all that there is, or the next that comes.

        Raises BadRequest, OffsetGone, NotFound, Unavailable and Overloaded.
        """
        query = _Query.parse(request)
        if query.live == "sse":
            return await self._events(source, query, admission)
        if query.live == "long-poll":
            return await self._long_poll(source, query, admission)
        if query.offset == NOW:
            piece = await self._from_now(source)
            return _answer(source, piece, {"Cache-Control": NO_STORE})
        piece = await source.read(query.offset, self._policy.piece_bytes)
        return self._piece(request, source, piece)

    def _piece(self, request: Request, source: Source, piece: Piece) -> Response:
        # An answer without data is about this moment: a cache would hide the data that follows.
        caching = self._cacheable if piece.parts else "no-cache"
        tag = etag(piece)
        if is_known(request, tag):
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": caching})
        return _answer(source, piece, {"ETag": tag, "Cache-Control": caching})

    async def _from_now(self, source: Source) -> Piece:
        """The end of a stream; reading there counts as a use."""
        return await source.read((await source.tail()).next, 1)

    async def _events(self, source: Source, query: _Query, admission: Admission) -> Response:
        assert query.offset is not None or query.live
        # The offset is looked at before the head is sent: no event can refuse it.
        piece = await self._start(source, query.offset, 1)
        with admission.permit() as permit:
            read = LiveRead(permit, query.cursor, self._policy.sse, admission.expires)
            return await source.follow(piece.start, read)

    async def _start(self, source: Source, offset: str | None, limit: int) -> Piece:
        return await (self._from_now(source) if offset == NOW else source.read(offset, limit))

    async def _long_poll(self, source: Source, query: _Query, admission: Admission) -> Response:
        piece = await self._start(source, query.offset, self._policy.piece_bytes)
        if not piece.parts and not piece.closed:
            seconds = self._policy.long_poll
            if admission.expires is not None:
                seconds = min(seconds, max(0.0, admission.expires - time.time()))
            with admission.permit():
                await source.wait(piece.next, seconds)
            piece = await source.read(piece.next, self._policy.piece_bytes)
        headers = live_cursor(piece, query.cursor)
        if not piece.parts:
            return _response(source, 204, place(piece) | headers | {"Cache-Control": NO_STORE})
        return _answer(
            source, piece, headers | {"ETag": etag(piece), "Cache-Control": self._cacheable}
        )


def _answer(source: Source, piece: Piece, headers: dict[str, str]) -> Response:
    body = payload_of(source.content_type).join(piece.parts)
    return _response(source, 200, place(piece) | headers, body)


def _response(source: Source, status: int, headers: dict[str, str], body: bytes = b"") -> Response:
    # Not `media_type`: Starlette would add a charset to text, which may be in another one.
    return Response(body or None, status, headers | {"Content-Type": source.content_type})
