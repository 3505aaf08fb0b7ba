"""The place that records come from: the part that others may implement."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from eddyline.errors import BadRequest, Unavailable, UpstreamError

#: The values of a key's columns, as their source compares them.
Key = tuple[Any, ...]

#: The values of one row, in the order of the columns that were asked for. Further values are
#: the source's own.
Row = Sequence[Any]

#: A text that is not UTF-8: U+FFFD in place of its bad bytes, or the error BadValue.
InvalidText = Literal["replace", "error"]

#: Makes the bytes of rows, in the format that the client asked for. Raises TypeError for a value
#: that the format cannot express. One with an attribute `objects` that is not None takes rows as
#: texts of JSON objects, too: a source that has such texts spares the objects of Python.
Encode = Callable[[Sequence[Row]], bytes]


class Misconfigured(Unavailable):
    """The dataset as it is declared cannot be served: its table or its key is not fit for it.

    The text is for clients: it names tables and columns, and no place.
    """

    title = "Misconfigured"


class SourceChanged(Unavailable):
    """The source is not the one that the first page came from: rows of both would be mixed."""

    title = "Source changed"


class BadValue(UpstreamError):
    """A value of a row cannot be sent; the text names the row's key and the column."""

    title = "Bad value"


#: equal, unequal, less, …, one of several, beginning with, and whether it is null.
Op = Literal["eq", "ne", "lt", "lte", "gt", "gte", "in", "prefix", "null"]


@dataclass(frozen=True, slots=True)
class Condition:
    """`where[column][op]=value`. As in SQL, a null is neither equal nor unequal to any value."""

    column: str
    op: Op
    value: str

    def __str__(self) -> str:
        return f"where[{self.column}][{self.op}]={self.value!r}"

    def texts(self) -> list[str]:
        """The values of `in`, which commas separate."""
        return self.value.split(",")

    def flag(self) -> bool:
        """The value of `null`; raises BadRequest."""
        if self.value not in ("0", "1"):
            raise BadRequest(f"{self}: it is 1 for null, and 0 for all others")
        return self.value == "1"


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a source, in its own order, and those of its key, with the type of it in the
    source's own words.

    `version`: a text that is another one where a key may mean another place, because the source
    was replaced. `types`: those of the columns, in the source's own words. `filters`: the columns
    that conditions may name. `descends`: whether rows can come in descending order, too.
    `details`: all else that the source found out, for its own scans.
    """

    columns: tuple[str, ...]
    key: tuple[str, ...]
    key_type: str
    version: str
    types: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    descends: bool = False
    details: Any = None

    def select(self, columns: Sequence[str] | None) -> tuple[str, ...]:
        """All columns, or those that are asked for; an unknown one raises BadRequest."""
        for column in columns if columns is not None else ():
            if column not in self.columns:
                known = ", ".join(self.columns)
                raise BadRequest(f"there is no column {column[:80]!r}: there are {known}")
        return tuple(dict.fromkeys(columns)) if columns else self.columns

    def bad_key(self, text: str) -> BadRequest:
        """The error for a text that is no key of this source."""
        key = ", ".join(map(repr, self.key))
        return BadRequest(f"after={text[:80]!r}: the key {key} is of type {self.key_type}")


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that are asked for: of those that meet all conditions `where`, after the key `after`
    and up to `until`, the first `limit`; None: all. `until` is the last key there is when reading
    begins, where none is given. `descending`: from the greatest key on, so that those after a key
    are less.

    `snapshot`: all of them as they are at one moment, or an error after so many seconds.
    `invalid_text`: in place of the dataset's own rule. `state`: the summary's of an earlier scan;
    a source that was written since is `changed` from the start.
    """

    columns: tuple[str, ...]
    after: Key | None = None
    until: Key | None = None
    limit: int | None = None
    where: tuple[Condition, ...] = ()
    descending: bool = False
    snapshot: float | None = None
    invalid_text: InvalidText | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The pages of a scan that were handed out so far.

    `after`: the key of their last row, or that of the selection; it never tells more rows than were
    handed out. `until`: the last key that the scan goes to. `next`: where `limit` ends the rows
    and more follow, the key after which they do; known with the first page.

    `changed`: the source was written meanwhile. `moved`: and so rows may have come twice or never,
    as a row does whose key is changed.
    `replaced`: values that were no valid text and were altered. `state`: a text that is another one
    when the source was written since; None: the source can't tell.
    """

    after: Key | None = None
    until: Key | None = None
    next: Key | None = None
    changed: bool = False
    moved: bool = False
    replaced: int = 0
    state: str | None = None


class Scan(Protocol):
    """One pass over the rows of a source."""

    def pages(self, encode: Encode) -> Iterator[bytes]:
        """The rows, encoded, in pages of about 64 KiB.

        Called once. It runs in a thread, one page at a time. Between two pages it must hold no
        lock, unless a snapshot was asked for: a client may take hours to read one. A row that fails
        raises after a page with all rows before it. A source that becomes another one raises
        SourceChanged: rows of both are never mixed.
        """

    def summary(self) -> Summary:
        """Called after a page, and after the last."""

    def interrupt(self) -> None:
        """Makes the page that is being read end soon, by an exception.

        Called from another thread, at any time, when the client has left.
        """


class Source(Protocol):
    """Rows in the order of one key: columns that together are unique, and never null."""

    async def schema(self) -> Schema:
        """The schema as it is now.

        Called at the start, and for each request. Raises Unavailable, in words that tell a client
        nothing of the place, where the source cannot be read; Misconfigured where nothing but a
        human can mend it.
        """

    def key_of(self, schema: Schema, text: str) -> Key:
        """The key that a client gives as `after`; raises BadRequest (`schema.bad_key`)."""

    def scan(self, schema: Schema, selection: Selection) -> Scan:
        """The rows of a selection, in the order of the key.

        Called once for each response, before its head. It must not wait: reading begins with
        `pages`. Raises BadRequest for a condition whose value its column cannot have. Conditions
        name no other columns than those of `schema.filters`.
        """

    async def count(self, schema: Schema, selection: Selection, *, exact: bool) -> int | None:
        """The number of rows of a selection without a limit; None: it cannot be told.

        `exact=False`: an estimate that takes no reading of them.
        """

    async def split(self, schema: Schema, shards: int) -> list[Key]:
        """Ascending keys that part all rows into `shards` parts of about one size, or into fewer.

        The last is the last key that there is; no key: there is no row.
        """
