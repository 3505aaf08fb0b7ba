"""The three kinds of streams: JSON messages, text, and any bytes (section 9)."""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import orjson

from eddyline.errors import BadRequest
from eddyline.store.writers import media_type

_LINE_END = re.compile(r"\r\n|\n|\r")
_scan = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\n\r]*")


class Payload(Protocol):
    """How the data of one kind of stream goes over the wire."""

    @property
    def base64(self) -> bool:
        """Whether server-sent events bring it in base64."""

    def split(self, body: bytes) -> list[bytes]:
        """The body of a write as records. Raises BadRequest where it is not of the kind."""

    def join(self, parts: Sequence[bytes]) -> bytes:
        """Records as the body of an answer."""

    def lines(self, parts: Sequence[bytes]) -> Iterable[str]:
        """Records as the data lines of one server-sent event.

        Raises UnicodeDecodeError for text whose records are no whole characters.
        """


class Bytes:
    """Any bytes: a record for each write."""

    base64 = True

    def split(self, body: bytes) -> list[bytes]:
        return [body] if body else []

    def join(self, parts: Sequence[bytes]) -> bytes:
        return b"".join(parts)

    def lines(self, parts: Sequence[bytes]) -> Iterable[str]:
        return (base64.b64encode(b"".join(parts)).decode(),)


class Text(Bytes):
    """`text/*` in UTF-8."""

    base64 = False

    def lines(self, parts: Sequence[bytes]) -> Iterable[str]:
        # A lone CR ends a line for clients, too.
        return _LINE_END.split(b"".join(parts).decode())


class Json:
    """`application/json`: a record for each message; one level of an array is a batch (9.1)."""

    base64 = False

    def split(self, body: bytes) -> list[bytes]:
        """The texts of messages stay as they are: reading and writing them anew would change
        numbers.
        """
        if not body:
            return []
        try:
            value = orjson.loads(body)
            # A text, not bytes: the scanner of the standard library wants one.
            text = body.decode().strip(" \t\n\r")
            return list(_elements(text)) if isinstance(value, list) else [text.encode()]
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"the body is not JSON: {error}") from None

    def join(self, parts: Sequence[bytes]) -> bytes:
        return b"[%b]" % b",".join(parts)

    def lines(self, parts: Sequence[bytes]) -> Iterable[str]:
        # Line ends are between tokens: within a text of JSON they are escaped.
        return _LINE_END.split(self.join(parts).decode())


BYTES, TEXT, JSON = Bytes(), Text(), Json()


def payload_of(content_type: str) -> Payload:
    kind = media_type(content_type)
    if kind == "application/json":
        return JSON
    return TEXT if kind.startswith("text/") else BYTES


def _elements(array: str) -> Iterable[bytes]:
    """The texts of the elements of an array that is known to be JSON."""
    at = _skip_space(array, 1)
    while array[at] != "]":
        _, end = _scan(array, at)
        yield array[at:end].encode()
        at = _skip_space(array, end)
        if array[at] == ",":
            at = _skip_space(array, at + 1)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()
