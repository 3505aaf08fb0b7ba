"""Rows of a dataset: each of them once, however often the connection is cut; the end is checked."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import httpx

from eddyline.client.api import Api, Attempts
from eddyline.client.errors import PASSING, DigestMismatch, Failed, Incomplete, Refused
from eddyline.client.events.messages import loads

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowsEnd:
    """The end of all rows. `changed`: others wrote the dataset while it was read; `replaced`: texts
    that were no UTF-8, with U+FFFD in place of their bad bytes.
    """

    rows: int
    changed: bool
    replaced: int


@dataclass(frozen=True, slots=True)
class RowsProgress:
    """The rows that were handed out, and the bytes that came for them."""

    rows: int
    bytes: int


class Rows:
    """An asynchronous iterator of rows in the order of the dataset's key, as dicts.

    A page of rows is handed out when its cursor has come; after a cut the next answer goes on
    there. Raises Refused where the dataset was replaced meanwhile; and Incomplete, after the last
    row, where others wrote it in such a way that a row may be there twice or not at all.

    `cursor`: the place after the last page. `end` is there after the last row.
    """

    def __init__(
        self,
        api: Api,
        dataset: str,
        query: Mapping[str, str],
        cursor: str | None,
        limit: int | None,
        progress: Callable[[RowsProgress], None],
    ) -> None:
        self.cursor: str | None = cursor
        self.end: RowsEnd | None = None
        self._api = api
        self._dataset = dataset
        self._query = dict(query)
        self._limit = limit
        self._progress = progress
        self._rows = 0
        self._bytes = 0
        self._items = self._each()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Row:
        return await anext(self._items)

    @property
    def changed(self) -> bool:
        """Known at the end: others wrote the dataset while it was read."""
        return self.end is not None and self.end.changed

    async def close(self) -> None:
        """Ends the stream."""
        await self._items.aclose()

    async def pages(self) -> AsyncGenerator[list[Row], None]:
        """The rows in lists, as the server made its pages: for a frame or a table of each."""
        attempts = Attempts(self._api.patience)
        while self.end is None:
            try:
                async with aclosing(self._answer()) as pages:
                    async for page in pages:
                        attempts.succeeded()
                        yield page
            except (Failed, httpx.TransportError) as error:
                if self._rows and self.cursor is None:
                    raise Incomplete(f"cut after {self._rows} rows: no cursor") from error
                await attempts.pause(error)

    async def _each(self) -> AsyncGenerator[Row, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for row in page:
                    yield row

    async def _answer(self) -> AsyncGenerator[list[Row], None]:
        """The pages of one answer, from the cursor on."""
        reading = _Reading()
        path = f"records/{quote(self._dataset, safe='')}"
        async with self._api.stream("GET", path, self._asked()) as response:
            async for line in _lines(response):
                told = reading.take(line)
                if "cursor" in told:
                    page = reading.page()
                    self.cursor = told["cursor"]
                    self._rows += len(page)
                    self._bytes += reading.bytes_of_page()
                    self._progress(RowsProgress(self._rows, self._bytes))
                    yield page
                if "error" in told:
                    raise _error(told["error"])
                if "end" in told:
                    self._finish(reading, told["end"])
                    return
        raise Failed(0, f"the answer has no end after {self._rows} rows")

    def _asked(self) -> list[tuple[str, str]]:
        query = [*self._query.items(), ("framed", "1")]
        if self._limit is not None:
            # At least one: the answer without rows has the end.
            query.append(("limit", str(max(1, self._limit - self._rows))))
        if self.cursor is not None:
            query = [(name, value) for name, value in query if name != "after"]
            query.append(("cursor", self.cursor))
        return query

    def _finish(self, reading: "_Reading", told: Mapping[str, Any]) -> None:
        if told["sha256"] != reading.digest or told["rows"] != reading.rows:
            raise DigestMismatch(f"rows of {self._dataset!r} arrived otherwise than they were sent")
        self.end = RowsEnd(self._rows, bool(told["changed"]), int(told["replaced"]))
        if told["moved"]:
            raise Incomplete(
                f"others wrote {self._dataset!r} while it was read: a row whose key was changed may"
                " be there twice or not at all; ask with snapshot=True"
            )


def query(
    columns: Sequence[str],
    where: Mapping[tuple[str, str], object] | None,
    after: object,
    *,
    descending: bool,
    snapshot: bool,
) -> dict[str, str]:
    """The parameters of `GET /records/{dataset}` for the arguments of AsyncClient.records."""
    conditions = (where or {}).items()
    asked = {f"where[{column}][{op}]": _text(value) for (column, op), value in conditions}
    if columns:
        asked["columns"] = ",".join(columns)
    if after is not None:
        asked["after"] = str(after)
    if descending:
        asked["order"] = "desc"
    if snapshot:
        asked["snapshot"] = "1"
    return asked


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


class _Reading:
    """The lines of one answer with framed=1."""

    def __init__(self) -> None:
        self.rows = 0
        self._page: list[Row] = []
        self._bytes = 0
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def take(self, line: bytes) -> Any:
        told = loads(line)
        if "end" not in told and "error" not in told:
            self._hash.update(line)
            self._bytes += len(line)
        if "row" in told:
            self.rows += 1
            self._page.append(told["row"])
        return told

    def page(self) -> list[Row]:
        page, self._page = self._page, []
        return page

    def bytes_of_page(self) -> int:
        size, self._bytes = self._bytes, 0
        return size


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Whole lines, with their ends."""
    pieces: list[bytes] = []
    async for chunk in response.aiter_raw():
        first, *rest = chunk.split(b"\n")
        pieces.append(first)
        for piece in rest:
            yield b"".join(pieces) + b"\n"
            pieces = [piece]


def _error(told: Mapping[str, Any]) -> Refused | Failed:
    status, detail = int(told["status"]), str(told["detail"])
    if 400 <= status < 500 and status not in PASSING:
        return Refused(status, detail)
    return Failed(status, detail)
