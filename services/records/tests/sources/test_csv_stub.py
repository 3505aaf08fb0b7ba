"""A newcomer's source: one class, and one line that registers its scheme."""

import csv
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, unquote

import pytest

from eddyline.errors import Unavailable
from eddyline.testing import Stream
from eddyline_records.sources.base import Encode, Key, Row, Schema, Selection, Summary
from eddyline_records.sources.registry import SOURCES


@dataclass(frozen=True)
class CsvSource:
    """A file whose first column is an integer, ascends, and is the key: `csv:////srv/x.csv`."""

    path: Path

    @classmethod
    def from_url(cls, name: str, url: SplitResult) -> Self:
        return cls(Path(unquote(url.path[1:])))

    async def schema(self) -> Schema:
        try:
            with self.path.open(newline="") as file:
                columns = next(csv.reader(file))
        except OSError:
            raise Unavailable("the dataset cannot be read now") from None
        return Schema(tuple(columns), (columns[0],), "integer", str(self.path.stat().st_ino))

    def key_of(self, schema: Schema, text: str) -> Key:
        try:
            return (int(text),)
        except ValueError:
            raise schema.bad_key(text) from None

    def scan(self, schema: Schema, selection: Selection) -> "CsvScan":
        places = [schema.columns.index(column) for column in selection.columns]
        return CsvScan(self.path, places, selection.after, selection.limit)

    async def count(self, schema: Schema, selection: Selection, *, exact: bool) -> int | None:
        return None

    async def split(self, schema: Schema, shards: int) -> list[Key]:
        return [(2**63,)]


@dataclass
class CsvScan:
    path: Path
    places: Sequence[int]
    after: Key | None
    limit: int | None
    interrupted: bool = False
    last: Key | None = None

    def pages(self, encode: Encode) -> Iterator[bytes]:
        with self.path.open(newline="") as file:
            rows = self._wanted(islice(csv.reader(file), 1, None))
            while page := list(islice(rows, 1000)):
                yield encode(page)

    def summary(self) -> Summary:
        return Summary(self.last)

    def interrupt(self) -> None:
        self.interrupted = True

    def _wanted(self, rows: Iterator[list[str]]) -> Iterator[Row]:
        following = (row for row in rows if self.after is None or (int(row[0]),) > self.after)
        for row in islice(following, self.limit):
            if self.interrupted:
                raise InterruptedError
            self.last = (int(row[0]),)
            yield [int(row[at]) if at == 0 else row[at] for at in self.places]


Fetch = Callable[..., Awaitable[Stream]]


async def test_a_source_in_one_file_is_served_and_resumed(
    serve: Callable[..., Any], fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "csv", CsvSource.from_url)
    lines = [f"{key},name {key}\n" for key in range(5000)]
    (tmp_path / "things.csv").write_text("id,name\n" + "".join(lines))
    async with serve(datasets=f"things=csv:///{tmp_path}/things.csv") as run:
        url = f"{run.url}/records/things"
        listed = await (await fetch(f"{run.url}/records")).json()
        assert listed["datasets"] == [{"name": "things", "key": ["id"], "columns": ["id", "name"]}]
        first = [row async for row in (await fetch(f"{url}?limit=1200")).values()]
        rest = [row async for row in (await fetch(f"{url}?after={first[-1]['id']}")).values()]
        assert first + rest == [{"id": key, "name": f"name {key}"} for key in range(5000)]
        assert (await fetch(f"{url}?after=x")).status == 400
        assert (await fetch(f"{url}?columns=salary")).status == 400
        # It cannot do these, and is never asked to.
        for query in ("order=desc", "where[id][gte]=5", "where[name][eq]=x"):
            assert (await fetch(f"{url}?{query}")).status == 400
