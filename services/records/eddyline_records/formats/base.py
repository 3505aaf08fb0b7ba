"""Formats of rows: bytes that a client can read."""

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eddyline_records.sources.base import Encode, Row

#: Integers that a double holds exactly: JavaScript rounds those beyond
#: (https://www.rfc-editor.org/rfc/rfc8259#section-6).
SAFE = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Options:
    """The values of a body. `int64`: integers beyond 2^53 as numbers, or as texts. `nonfinite`: an
    infinity is null, or a text. `null` and `guard` are CSV's: the text of null, and an apostrophe
    before texts that a spreadsheet would run.
    """

    int64: Literal["number", "string"] = "number"
    nonfinite: Literal["null", "string"] = "null"
    null: str = ""
    guard: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """One body in a format: `begin`, rows, `end`. Each row of `encode` begins with `separator`, and
    the first row of a body has none.

    `tells`: bytes after the rows can tell an error, and no client takes them for rows.
    """

    encode: Encode
    begin: bytes = b""
    separator: bytes = b""
    end: bytes = b""
    tells: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """`body` makes the one for columns. `media_types`: the first is that of the answer where a
    client takes any.
    """

    name: str
    media_types: tuple[str, ...]
    body: Callable[[Sequence[str], Options], Body]


def converted(options: Options, encode: Encode) -> Encode:
    """`encode` for rows whose numbers are as the client wants them. Blobs are left to it."""
    if options.int64 == "number" and options.nonfinite == "null":
        return encode

    def value(found: Any) -> Any:
        if isinstance(found, float) and not math.isfinite(found):
            return nonfinite(found) if options.nonfinite == "string" else None
        if options.int64 == "string" and isinstance(found, int) and abs(found) > SAFE:
            return str(found)
        return found

    def encoded(rows: Sequence[Row]) -> bytes:
        return encode([[value(found) for found in row] for row in rows])

    return encoded


def nonfinite(value: float) -> str:
    """As PostgreSQL's JSON has it."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def base64_object(value: Any) -> dict[str, str]:
    """The form of a blob in JSON, which has no bytes."""
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode()}
    raise TypeError(f"a value of the type {type(value).__name__} has no JSON")
