"""Files that DuckDB reads: the oracle is DuckDB's own reading of them, at once."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from eddyline.errors import BadRequest, Unavailable
from eddyline_records.formats.base import Body, Options
from eddyline_records.formats.csv import csv as csv_body
from eddyline_records.formats.json import array, lines, ndjson
from eddyline_records.sources.base import Condition, Selection, SourceChanged
from eddyline_records.sources.duckdb.scan import FETCH, FIRST

duckdb = pytest.importorskip("duckdb", reason="the extra `duckdb` is not installed")

from eddyline_records.sources.duckdb import engine as duckdb_engine  # noqa: E402
from eddyline_records.sources.duckdb.source import DuckSource  # noqa: E402

MANY = 5000


def write(sql: str, path: Path, form: str = "") -> Path:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({sql}) TO '{path}' {form}")
    return path


def source(path: Path | str, kind: str = "parquet", query: str = "") -> DuckSource:
    return DuckSource.from_url("things", urlsplit(f"{kind}:///{path}{query}"))


async def read(
    source: DuckSource, body: Callable[..., Body] = lines, options: Any = None, **asked: Any
) -> bytes:
    schema = await source.schema()
    selection = Selection(asked.pop("columns", None) or schema.columns, **asked)
    made = body(selection.columns, options or Options())
    pages = b"".join(source.scan(schema, selection).pages(made.encode))
    return made.begin + pages.removeprefix(made.separator) + made.end


async def ids(source: DuckSource, **asked: Any) -> list[int]:
    return [row["id"] for row in map(orjson.loads, (await read(source, **asked)).splitlines())]


@pytest.fixture(params=["parquet", "csv", "duckdb", "two files"])
def numbered(request: pytest.FixtureRequest, tmp_path: Path) -> DuckSource:
    """The rows 0 to MANY, in this order, with a text each."""
    rows = f"SELECT range AS id, 'name ' || range AS name FROM range({MANY})"
    if request.param == "two files":
        half = MANY // 2
        write(f"{rows} WHERE id >= {half}", tmp_path / "b.parquet")
        write(f"{rows} WHERE id < {half}", tmp_path / "a.parquet")
        return source(tmp_path / "*.parquet")
    path = tmp_path / f"things.{request.param}"
    if request.param == "duckdb":
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE TABLE things AS {rows}")
        return source(path, "duckdb", "?table=things")
    return source(write(rows, path), request.param)


def as_ids(found: list[Any]) -> list[int]:
    """A CSV has texts alone."""
    return list(map(int, found))


async def test_every_row_comes_once_in_the_order_of_the_files(numbered: DuckSource) -> None:
    assert as_ids(await ids(numbered)) == list(range(MANY))
    whole = await read(numbered)
    assert orjson.loads(whole.splitlines()[7])["name"] == "name 7"


@pytest.mark.parametrize("after", [0, 1, FIRST, FETCH + FIRST, MANY - 1, MANY, MANY + 5])
async def test_it_goes_on_after_a_number_of_rows(numbered: DuckSource, after: int) -> None:
    assert as_ids(await ids(numbered, after=(after,))) == list(range(after, MANY))
    assert as_ids(await ids(numbered, after=(after,), until=(MANY - 2,))) == list(
        range(after, MANY - 2)
    )


@pytest.mark.parametrize("limit", [1, FIRST, FETCH, MANY - 10, MANY])
async def test_a_limit_tells_where_the_rest_is(numbered: DuckSource, limit: int) -> None:
    schema = await numbered.schema()
    scan = numbered.scan(schema, Selection(("id",), (10,), limit=limit))
    pages = scan.pages(ndjson(("id",)))
    data = next(pages)
    expected = list(range(10, min(MANY, 10 + limit)))
    assert scan.summary().next == ((10 + limit,) if 10 + limit < MANY else None)
    data += b"".join(pages)
    assert as_ids([orjson.loads(line)["id"] for line in data.splitlines()]) == expected
    assert scan.summary().after == (10 + len(expected),)


async def test_counts_and_parts(numbered: DuckSource) -> None:
    schema = await numbered.schema()
    assert await numbered.count(schema, Selection(("id",), (3,)), exact=True) == MANY - 3
    known = None if numbered.kind == "csv" else MANY
    assert await numbered.count(schema, Selection(("id",)), exact=False) == known
    keys = await numbered.split(schema, 7)
    parts = [
        await ids(numbered, after=after, until=until)
        for after, until in zip([None, *keys], keys, strict=False)
    ]
    assert as_ids([id for part in parts for id in part]) == list(range(MANY))


UUID = "00000000-0000-0000-0000-00000000002a"
VALUES = {
    "i": ("9007199254740993::BIGINT", 9007199254740993),
    "u": ("18446744073709551615::UBIGINT", 2**64 - 1),
    "d": ("2.50::DECIMAL(10,2)", "2.50"),
    "f": ("0.1::DOUBLE", 0.1),
    "least": ("5e-324::DOUBLE", 5e-324),
    "n": ("'NaN'::DOUBLE", None),
    "inf": ("'-Infinity'::FLOAT", None),
    "t": ("'a\u2028\"\\' || chr(1) || chr(10)", 'a\u2028"\\\x01\n'),
    "yes": ("true", True),
    "none": ("NULL::INTEGER", None),
    "b": ("'\\xFF\\x00'::BLOB", {"$base64": "/wA="}),
    "nob": ("NULL::BLOB", None),
    "at": ("TIMESTAMP '2024-02-29 21:59:59.5'", "2024-02-29T21:59:59.500000"),
    "atz": ("TIMESTAMPTZ '2024-02-29 23:59:59+02'", "2024-02-29T21:59:59.000000Z"),
    "ns": ("TIMESTAMP_NS '2024-02-29 21:59:59.123456789'", "2024-02-29T21:59:59.123456789"),
    "never": ("'infinity'::TIMESTAMP", "infinity"),
    "day": ("DATE '2024-02-29'", "2024-02-29"),
    "uuid": (
        "'00000000-0000-0000-0000-00000000002a'::UUID",
        "00000000-0000-0000-0000-00000000002a",
    ),
    "l": ("[1, 2, NULL]", [1, 2, None]),
    "nested": ("['NaN'::DOUBLE]", "[nan]"),
}


async def test_values_are_right_in_every_format(tmp_path: Path) -> None:
    """DuckDB's own JSON has bare NaN, decimals as doubles, and times that are not RFC 3339."""
    wanted = ", ".join(f"{sql} AS {name}" for name, (sql, _) in VALUES.items())
    found = source(write(f"SELECT {wanted}", tmp_path / "x.parquet"))
    expected = {name: value for name, (_, value) in VALUES.items()}
    assert orjson.loads(await read(found)) == expected
    assert orjson.loads(await read(found, array)) == [expected]
    texts = expected | {"n": "NaN", "inf": "-Infinity", "i": "9007199254740993"}
    options = Options(nonfinite="string", int64="string")
    assert orjson.loads(await read(found, lines, options)) == texts | {"u": str(2**64 - 1)}
    header, row = csv.reader(io.StringIO((await read(found, csv_body)).decode(), newline=""))
    cells = dict(zip(header, row, strict=True))
    assert (cells["d"], cells["f"], cells["t"]) == ("2.50", "0.1", expected["t"])
    assert orjson.loads(cells["b"]) == expected["b"]
    assert orjson.loads(cells["l"]) == expected["l"]
    assert (cells["yes"], cells["n"], cells["none"]) == ("true", "", "")


async def test_a_csv_has_its_texts_as_they_are(tmp_path: Path) -> None:
    """Types that are guessed make 7 of 007."""
    path = tmp_path / "x.csv"
    path.write_bytes(b'id,name\r\n007,"a ""b"", c"\r\n1e5,\r\n,""\r\n')
    rows = [orjson.loads(line) for line in (await read(source(path, "csv"))).splitlines()]
    assert rows == [
        {"id": "007", "name": 'a "b", c'},
        {"id": "1e5", "name": None},
        {"id": None, "name": ""},
    ]


async def test_a_csv_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,name\n" + "1,x\n" * 100_000 + "1,x,too many\n")
    with pytest.raises(Unavailable, match="'things' cannot be read now"):
        await read(source(path, "csv"))


@pytest.mark.parametrize("way", ["replaced", "written"])
async def test_a_file_that_changes_is_an_error_and_another_version(
    tmp_path: Path, way: str
) -> None:
    rows = f"SELECT range AS id FROM range({MANY})"
    found = source(write(rows, tmp_path / "x.parquet"))
    schema = await found.schema()
    pages = found.scan(schema, Selection(("id",))).pages(ndjson(("id",)))
    next(pages)
    other = write(rows, tmp_path / "other", "(FORMAT parquet)")
    if way == "replaced":
        os.replace(other, tmp_path / "x.parquet")
    else:
        (tmp_path / "x.parquet").write_bytes(other.read_bytes())
    with pytest.raises(SourceChanged):
        list(pages)
    assert (await found.schema()).version != schema.version


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition("id", "gte", "8"), [8, 9]),
        (Condition("id", "in", "3,1"), [1, 3]),
        (Condition("id", "ne", "0"), [*range(1, 10)]),
        (Condition("name", "prefix", "n'"), [4]),
        (Condition("name", "eq", "n'4"), [4]),
        (Condition("name", "null", "1"), [5]),
        (Condition("x", "lt", "-0.5"), []),
        (Condition("at", "gt", "2024-01-08"), [8, 9]),
    ],
)
async def test_conditions(tmp_path: Path, condition: Condition, expected: list[int]) -> None:
    rows = (
        "SELECT range AS id, CASE range WHEN 4 THEN 'n''4' WHEN 5 THEN NULL ELSE 'n' END AS name,"
        " range / 2 AS x, TIMESTAMP '2024-01-01' + INTERVAL (range) DAY AS at FROM range(10)"
    )
    found = source(write(rows, tmp_path / "x.parquet"))
    assert condition.column in (await found.schema()).filters
    assert await ids(found, where=(condition,)) == expected
    assert await ids(found, where=(condition,), after=(1,)) == expected[1:]


@pytest.mark.parametrize("text", ["abc", "", "1; DROP", "nan"])
async def test_a_value_that_its_column_cannot_have_is_named(tmp_path: Path, text: str) -> None:
    found = source(write("SELECT 1 AS id", tmp_path / "x.parquet"))
    with pytest.raises(BadRequest, match=r"where\[id\]\[eq\]=.* is no INTEGER"):
        await ids(found, where=(Condition("id", "eq", text),))


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "\u0661", "9" * 30])
async def test_a_text_that_is_no_row_number_is_named(tmp_path: Path, text: str) -> None:
    found = source(write("SELECT 1 AS id", tmp_path / "x.parquet"))
    schema = await found.schema()
    with pytest.raises(BadRequest, match="the key 'row_number' is of type INTEGER"):
        found.key_of(schema, text)


async def test_an_integer_beyond_64_bits_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT {2**127 - 1}::HUGEINT AS h, -1::HUGEINT AS i")
    found = source(path, "duckdb", "?table=t")
    assert orjson.loads(await read(found)) == {"h": str(2**127 - 1), "i": "-1"}


async def test_names_that_are_sql(tmp_path: Path) -> None:
    names = ('"a ""b"" --"', '"it\'s"')
    path = write(f"SELECT 1 AS {names[0]}, 2 AS {names[1]}", tmp_path / "x.parquet")
    os.rename(path, tmp_path / "it's.parquet")
    found = source(tmp_path / "it's.parquet")
    assert orjson.loads(await read(found)) == {'a "b" --': 1, "it's": 2}


async def test_a_file_that_is_away_is_told_without_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Unavailable) as caught:
        await source(tmp_path / "none.parquet").schema()
    assert str(tmp_path) not in str(caught.value)
    assert str(tmp_path) in caplog.text


@pytest.mark.parametrize(
    "url", ["parquet://host/x", "parquet:///", "parquet:///x?table=t", "duckdb:///x"]
)
def test_a_bad_url_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="must be as"):
        DuckSource.from_url("things", urlsplit(url))


async def test_a_database_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    for number in (1, 2, 3):
        with duckdb.connect(str(tmp_path / "new")) as connection:
            connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT {number} AS id")
        os.replace(tmp_path / "new", path)
        assert await ids(source(path, "duckdb", "?table=t")) == [number]
    known = duckdb_engine.engine().execute("SELECT database_name FROM duckdb_databases()")
    assert len([name for (name,) in known.fetchall() if name.startswith("things ")]) == 1


async def test_interrupting_before_and_after_does_nothing(tmp_path: Path) -> None:
    found = source(write("SELECT 1 AS id", tmp_path / "x.parquet"))
    scan = found.scan(await found.schema(), Selection(("id",)))
    scan.interrupt()
    assert list(scan.pages(ndjson(("id",)))) == [b'{"id":1}\n']
    scan.interrupt()


async def test_files_on_the_wire(
    serve: Callable[..., Any], fetch: Callable[..., Any], tmp_path: Path
) -> None:
    rows = f"SELECT range AS id FROM range({MANY})"
    path = write(rows, tmp_path / "x.parquet")
    async with serve(datasets=f"things=parquet:///{path}") as run:
        url = f"{run.url}/records/things"
        stream = await fetch(f"{url}?limit=3&after=2&where[id][gte]=10&count=exact")
        assert [row["id"] async for row in stream.values()] == [12, 13, 14]
        assert stream.headers["x-row-count"] == str(MANY - 12)
        target = stream.headers["link"].partition(">")[0][1:]
        stream = await fetch(run.url + target)
        assert [row["id"] async for row in stream.values()] == [15, 16, 17]
        body = await (await fetch(f"{url}?framed=1")).body()
        lines = [orjson.loads(line) for line in body.splitlines()]
        assert [line["row"]["id"] for line in lines if "row" in line] == list(range(MANY))
        assert lines[-1]["end"]["rows"] == MANY
        assert (await fetch(f"{url}?order=desc")).status == 400
        os.replace(write(rows, tmp_path / "y", "(FORMAT parquet)"), path)
        assert (await fetch(run.url + target)).status == 409
