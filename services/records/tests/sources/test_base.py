"""The contract of a source, for each of them."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from eddyline.errors import BadRequest
from eddyline_records.formats.json import ndjson
from eddyline_records.sources.base import Schema, Selection, Source
from eddyline_records.sources.memory import MemorySource

Make = Callable[[Sequence[tuple[int, str]]], Source]

COUNT = 3000


@pytest.fixture(params=["sqlite", "memory"])
def source_of(request: pytest.FixtureRequest, make: Callable[..., Source]) -> Make:
    """Makes a source of the columns `id`, which is the key, and `name`."""
    if request.param == "sqlite":
        return make
    return lambda rows: MemorySource(("id", "name"), rows, "id")


def some() -> list[tuple[int, str]]:
    """Rows of the even keys, the last one first."""
    return [(key, f"name {key}") for key in reversed(range(-6, COUNT, 2))]


async def read(
    source: Source,
    columns: Sequence[str] = ("id", "name"),
    after: str | None = None,
    limit: int | None = None,
) -> list[Any]:
    schema = await source.schema()
    key = None if after is None else source.key_of(schema, after)
    pages = source.scan(schema, Selection(tuple(columns), key, limit=limit)).pages(ndjson(columns))
    return [orjson.loads(line) for page in pages for line in page.splitlines()]


async def test_the_schema_tells_columns_and_key(source_of: Make) -> None:
    schema = await source_of([]).schema()
    assert (schema.columns, schema.key) == (("id", "name"), ("id",))


async def test_every_row_comes_once_in_the_order_of_the_key(source_of: Make) -> None:
    rows = await read(source_of(some()))
    assert rows == [{"id": key, "name": f"name {key}"} for key in range(-6, COUNT, 2)]


@pytest.mark.parametrize("after", ["10", "11", "-7", str(COUNT)])
async def test_it_goes_on_after_a_key_whether_or_not_a_row_has_it(
    source_of: Make, after: str
) -> None:
    keys = [row["id"] for row in await read(source_of(some()), after=after)]
    assert keys == [key for key in range(-6, COUNT, 2) if key > int(after)]


@pytest.mark.parametrize("limit", [1, 499, 500, 501, 10_000])
async def test_it_ends_at_the_limit(source_of: Make, limit: int) -> None:
    keys = [row["id"] for row in await read(source_of(some()), after="0", limit=limit)]
    assert keys == list(range(2, COUNT, 2))[:limit]


async def test_only_the_columns_that_are_asked_for_come_in_that_order(source_of: Make) -> None:
    source = source_of([(2, "two"), (1, "one")])
    assert await read(source, ("name",)) == [{"name": "one"}, {"name": "two"}]
    [row] = await read(source, ("name", "id"), after="1")
    assert list(row) == ["name", "id"]


@pytest.mark.parametrize("limit", [None, 10])
async def test_the_cursor_goes_on_after_the_last_row(source_of: Make, limit: int | None) -> None:
    source = source_of(some())
    schema = await source.schema()
    scan = source.scan(schema, Selection(("id",), limit=limit))
    keys = [
        orjson.loads(line)["id"] for page in scan.pages(ndjson(("id",))) for line in page.split()
    ]
    told = scan.summary()
    assert told.after == (keys[-1],)
    assert told.until == (COUNT - 2,)
    assert told.next == (None if limit is None else told.after)
    rest = await read(source, after=str(keys[-1]))
    assert keys + [row["id"] for row in rest] == list(range(-6, COUNT, 2))


async def test_the_order_can_be_descending(source_of: Make) -> None:
    source = source_of(some())
    schema = await source.schema()
    assert schema.descends
    scan = source.scan(schema, Selection(("id",), (11,), (4,), descending=True))
    keys = [
        orjson.loads(line)["id"] for page in scan.pages(ndjson(("id",))) for line in page.split()
    ]
    assert keys == [10, 8, 6, 4]
    scan = source.scan(schema, Selection(("id",), limit=2, descending=True))
    list(scan.pages(ndjson(("id",))))
    assert (scan.summary().next, scan.summary().until) == ((COUNT - 4,), (-6,))


async def test_rows_are_counted(source_of: Make) -> None:
    source = source_of(some())
    schema = await source.schema()
    assert (
        await source.count(schema, Selection(("id",), (0,), limit=3), exact=True) == COUNT // 2 - 1
    )


@pytest.mark.parametrize("shards", [1, 2, 7, 5000])
async def test_keys_part_the_rows(source_of: Make, shards: int) -> None:
    source = source_of(some())
    keys = await source.split(await source.schema(), shards)
    assert keys == sorted(set(keys))
    assert len(keys) <= shards
    assert keys[-1] == (COUNT - 2,)


async def test_no_rows_have_no_parts(source_of: Make) -> None:
    source = source_of([])
    assert await source.split(await source.schema(), 3) == []


async def test_a_source_without_rows_has_no_page(source_of: Make) -> None:
    assert await read(source_of([])) == []


@pytest.mark.parametrize("text", ["", "x", "1.5"])
async def test_a_text_that_is_no_key_is_named(source_of: Make, text: str) -> None:
    source = source_of([])
    schema = await source.schema()
    with pytest.raises(BadRequest, match=rf"after='{text}': the key 'id' is of type"):
        source.key_of(schema, text)


async def test_interrupting_before_and_after_does_nothing(source_of: Make) -> None:
    source = source_of([(1, "x")])
    scan = source.scan(await source.schema(), Selection(("id",)))
    scan.interrupt()
    pages = scan.pages(ndjson(("id",)))
    assert list(pages) == [b'{"id":1}\n']
    scan.interrupt()


def test_an_unknown_column_is_named() -> None:
    schema = Schema(("id", "name"), ("id",), "INTEGER", "1")
    assert schema.select(None) == ("id", "name")
    assert schema.select(["name", "id", "name"]) == ("name", "id")
    with pytest.raises(BadRequest, match=r"no column \"nam'e\": there are id, name"):
        schema.select(["id", "nam'e"])
