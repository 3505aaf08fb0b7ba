"""The bytes of a body, from those of a scan; and the words of its error."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from eddyline.errors import StreamingError
from eddyline_records.sources.base import Encode, Row, Summary

#: The cursor after the last row that was sent, or None.
CursorOf = Callable[[Summary], str | None]


class RowsBody(Protocol):
    def pages(self) -> Iterator[bytes]:
        """All bytes of the body. An error before the first ones is raised, and no bytes tell it: it
        can still be an error status.
        """


class Counted:
    """An encoder that counts the rows of the pages that were handed out (`hand_out`)."""

    def __init__(self, encode: Encode) -> None:
        self.rows = 0
        self._encode = encode
        self._made = 0
        #: As the encoder's own, for sources that have their rows as JSON.
        self.objects: Callable[[Sequence[str]], bytes] | None = None
        if (objects := getattr(encode, "objects", None)) is not None:
            self.objects = partial(self._counted, objects)

    def __call__(self, rows: Sequence[Row]) -> bytes:
        return self._counted(self._encode, rows)

    def _counted(self, encode: Callable[[Sequence[Any]], bytes], rows: Sequence[Any]) -> bytes:
        encoded = encode(rows)
        self._made += len(rows)
        return encoded

    def hand_out(self) -> None:
        self.rows = self._made


def told(error: Exception) -> dict[str, str | int]:
    """An error as clients are told of it: `status` is that of an answer that has no rows yet."""
    if isinstance(error, StreamingError):
        return {"status": error.status, "title": error.title, "detail": error.detail}
    detail = "the server failed; its log has the cause"
    return {"status": 500, "title": "Internal error", "detail": detail}
