"""The headers of a write, parsed; each fault is a BadRequest that names the value."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from starlette.requests import Request

from eddyline.errors import BadRequest
from eddyline.store.base import ProducerStamp

#: The greatest number that a JavaScript client can count to (section 5.2.1).
MOST = 2**53 - 1

#: Characters of a producer's id, and of `Stream-Seq`.
MOST_TEXT = 256

#: Seconds of the longest TTL: a hundred years.
LONGEST_TTL = 100 * 366 * 86400

_NUMBER = re.compile(r"(0|[1-9][0-9]{0,15})\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)


def number(request: Request, name: str, most: int = MOST) -> int | None:
    """A header that is a whole number without a sign or leading zeros; None: it is absent."""
    text = request.headers.get(name)
    if text is None:
        return None
    if _NUMBER.match(text) is None or int(text) > most:
        raise BadRequest(f"{name}: {text[:80]!r}: expected a whole number from 0 to {most}")
    return int(text)


def is_closed(request: Request) -> bool:
    """Any other value than `true` counts as none (section 4.1)."""
    return request.headers.get("stream-closed", "").lower() == "true"


def content_type(request: Request) -> str | None:
    """The header without a value counts as none."""
    return request.headers.get("content-type", "").strip() or None


def short_text(request: Request, name: str) -> str | None:
    text = request.headers.get(name)
    if text is not None and len(text) > MOST_TEXT:
        raise BadRequest(f"{name}: {text[:20]!r}…: expected at most {MOST_TEXT} characters")
    return text


def producer(request: Request) -> ProducerStamp | None:
    """The stamp of an idempotent producer: all of its three headers, or none."""
    id = short_text(request, "producer-id")
    epoch, sequence = number(request, "producer-epoch"), number(request, "producer-seq")
    if id is None and epoch is None and sequence is None:
        return None
    if not id or epoch is None or sequence is None:
        raise BadRequest(
            f"Producer-Id: {id!r}, Producer-Epoch: {epoch}, Producer-Seq: {sequence}:"
            " expected all three, and an id that is not empty"
        )
    return ProducerStamp(id, epoch, sequence)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`ttl` in seconds, or `expires_at` in unix seconds; never both."""

    ttl: float | None = None
    expires_at: float | None = None

    @classmethod
    def parse(cls, request: Request) -> Self:
        ttl = number(request, "stream-ttl", LONGEST_TTL)
        at = request.headers.get("stream-expires-at")
        if ttl is not None and at is not None:
            raise BadRequest(f"Stream-TTL: {ttl} and Stream-Expires-At: {at[:80]}: expected one")
        return cls(ttl, None if at is None else _timestamp(at))


def _timestamp(text: str) -> float:
    """RFC 3339."""
    try:
        if _TIME.match(text) is None:
            raise ValueError
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        expected = "expected a time of RFC 3339, such as 2030-01-01T00:00:00Z"
        raise BadRequest(f"Stream-Expires-At: {text[:80]!r}: {expected}") from None
