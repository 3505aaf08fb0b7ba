import math
from typing import Any

import orjson
import pytest

from eddyline_records.formats.base import Options
from eddyline_records.formats.json import array, framed_lines, lines

ROWS = [(1, math.inf), (2**53, -math.inf), (-(2**53), b"\xff")]


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({}, [[1, None], [2**53, None], [-(2**53), {"$base64": "/w=="}]]),
        (
            {"int64": "string", "nonfinite": "string"},
            [[1, "Infinity"], [str(2**53), "-Infinity"], [str(-(2**53)), {"$base64": "/w=="}]],
        ),
    ],
)
def test_all_forms_of_json_have_the_same_values(options: Any, values: list[Any]) -> None:
    wanted = Options(**options)
    expected = [dict(zip("ab", row, strict=True)) for row in values]
    plain = lines(("a", "b"), wanted).encode(ROWS)
    assert [orjson.loads(line) for line in plain.splitlines()] == expected
    framed = framed_lines(("a", "b"), wanted)(ROWS)
    assert [orjson.loads(line)["row"] for line in framed.splitlines()] == expected
    body = array(("a", "b"), wanted)
    whole = body.begin + body.encode(ROWS).removeprefix(body.separator) + body.end
    assert orjson.loads(whole) == expected


def test_an_empty_array_is_one() -> None:
    body = array(("a",), Options())
    assert orjson.loads(body.begin + body.end) == []
