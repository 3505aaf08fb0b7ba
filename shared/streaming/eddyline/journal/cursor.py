"""Cursors: small texts that say where in a journal a client is; opaque, validated, maybe signed."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Literal, Self

import orjson

from eddyline.errors import BadCursor, BadRequest

#: Safe as an event id: a cross-origin reconnect needs no CORS preflight for it (WHATWG fetch).
SAFE_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}\Z")

_SIGNED = re.compile(r"[A-Za-z0-9_-]+\Z")
_CURSOR = re.compile(r"([0-9a-z]{1,16})\.(0|[1-9][0-9]{0,17})\Z")

#: In place of a cursor: the oldest entry that is still retained.
Earliest = Literal["earliest"]
EARLIEST: Earliest = "earliest"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The entry that a client has seen last; sequences of one epoch count up by one."""

    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`; anything else raises BadCursor."""
        match = _CURSOR.match(text)
        if match is None:
            raise BadCursor(f"{text[:80]!r} is not a cursor: expected <epoch>.<sequence>")
        return cls(match[1], int(match[2]))


def check_own_id(id: str) -> None:
    """Raises BadRequest for a publisher's id that stands for a place in the journal.

    A client that resumed from it would be taken there, and would miss events of other topics.
    """
    if id in ("", EARLIEST) or _CURSOR.match(id) is not None:
        raise BadRequest(
            f"id: must name one event, and not be empty, {EARLIEST!r}, or like an id of the hub's"
            f" own, <epoch>.<sequence> (got {id[:80]!r})"
        )


def new_epoch() -> str:
    """A name for one life of a journal that no other life will have."""
    return secrets.token_hex(4)


def sign(value: object, key: bytes) -> str:
    """Any JSON value as a cursor that only the holder of `key` makes: 16 bytes of MAC, then it."""
    payload = orjson.dumps(value)
    return _base64(_mac(payload, key) + payload)


def verify(text: str, key: bytes) -> object:
    """The value that `sign` was given; a text that it did not make raises BadCursor."""
    # Checked here, because the decoder below drops characters that are not base64.
    if _SIGNED.match(text) is None:
        raise BadCursor(f"{text[:80]!r} is not a cursor")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    mac, payload = raw[:16], raw[16:]
    if not payload or not hmac.compare_digest(mac, _mac(payload, key)):
        raise BadCursor(f"{text[:80]!r} is not a cursor of this server")
    return orjson.loads(payload)


def _mac(payload: bytes, key: bytes) -> bytes:
    return hmac.new(key, payload, hashlib.sha256).digest()[:16]


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
