"""Sources that are read as durable streams: anything ordered, with a cursor.

The protocol: https://github.com/durable-streams/durable-streams, PROTOCOL.md; sections are its.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.responses import Response

from eddyline.errors import BadRequest, Gone
from eddyline.service.admission import Permit


class BadOffset(BadRequest):
    """The text is no offset of this stream."""

    title = "Bad offset"


class OffsetGone(Gone):
    """The bytes after the offset are not there any more, or were another stream's."""

    title = "Offset gone"


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive data of a source, and its place.

    `parts`: the messages of a JSON stream, the bytes of any other; they lie between the offsets
    `start` and `next`. `at_tail`: there was no more. `closed`: nor will there ever be.
    """

    parts: Sequence[bytes]
    start: str
    next: str
    at_tail: bool
    closed: bool = False


@dataclass(frozen=True, slots=True)
class LiveRead:
    """A reader that stays. `cursor`: the number by which caches tell requests apart; `seconds`: the
    longest that it may last; `expires`: the end of its token, in unix seconds.
    """

    permit: Permit
    cursor: int | None
    seconds: float
    expires: float | None


class Source(Protocol):
    """One stream, as its readers see it. Its offsets sort as texts, and never name other bytes.

    All raise NotFound where there is no such stream, and Unavailable.
    """

    @property
    def content_type(self) -> str: ...

    @property
    def headers(self) -> dict[str, str]:
        """Headers of a HEAD response beside those of every stream."""

    async def tail(self) -> Piece:
        """The end of the stream, without any data. Does not count as a use of the stream."""

    async def read(self, after: str | None, limit: int) -> Piece:
        """The data after an offset, at most about `limit` bytes; None reads from the beginning.

        `live` readers that wait are served by this as well. Raises BadOffset and OffsetGone.
        """

    async def wait(self, after: str, seconds: float) -> None:
        """Returns once there is more after the offset, or the stream is closed or gone; at the
        latest after so many seconds, or when the process drains.
        """

    async def follow(self, after: str, read: LiveRead) -> Response:
        """The response with all data after the offset, as server-sent events (section 5.8)."""
