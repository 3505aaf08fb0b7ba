"""The place that records come from: the part that others may implement."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eddyline.errors import BadRequest

#: The value of a key, as its source compares it.
Key = Any

#: The values of one row, in the order of the columns that were asked for. Further values are
#: the source's own.
Row = Sequence[Any]

#: Makes the bytes of rows, in the format that the client asked for. Raises TypeError for a value
#: that the format cannot express.
Encode = Callable[[Sequence[Row]], bytes]


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a source, in its own order, and the type of its key in its own words."""

    columns: tuple[str, ...]
    key: str
    key_type: str

    def select(self, columns: Sequence[str] | None) -> tuple[str, ...]:
        """All columns, or those that are asked for; an unknown one raises BadRequest."""
        for column in columns or ():
            if column not in self.columns:
                known = ", ".join(self.columns)
                raise BadRequest(f"there is no column {column[:80]!r}: there are {known}")
        return tuple(dict.fromkeys(columns)) if columns else self.columns

    def bad_key(self, text: str) -> BadRequest:
        """The error for a text that is no key of this source."""
        return BadRequest(f"after={text[:80]!r}: the key {self.key!r} is of type {self.key_type}")


class Scan(Protocol):
    """One pass over the rows of a source."""

    def pages(self, encode: Encode) -> Iterator[bytes] | AsyncIterator[bytes]:
        """The rows, encoded, in pages of about 64 KiB.

        Called once. An iterator may block: it runs in a thread, one page at a time. Between two
        pages it must hold no lock, for a client may take hours to read one. A row that fails raises
        after the pages before it.
        """

    def interrupt(self) -> None:
        """Makes the page that is being read end soon, by an exception.

        Called from another thread, at any time, when the client has left.
        """


class Source(Protocol):
    """Rows in the order of one key: a column that is unique and never null."""

    async def schema(self) -> Schema:
        """The schema as it is now.

        Called for each request. Raises Unavailable, in words that tell a client nothing of the
        place, where the source cannot be read.
        """

    def key_of(self, schema: Schema, text: str) -> Key:
        """The key that a client gives as `after`; raises BadRequest (`schema.bad_key`)."""

    def scan(
        self, schema: Schema, columns: Sequence[str], after: Key | None, limit: int | None
    ) -> Scan:
        """The rows whose key is greater than `after`, or all; `limit` of them, or all.

        Called once for each response, before its head. It must not wait: reading begins with
        `pages`.
        """
