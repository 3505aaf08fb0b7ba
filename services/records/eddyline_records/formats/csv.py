"""Rows as CSV (RFC 4180), with a header line. A null is an empty cell, an empty text is `""`."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from eddyline_records.formats.base import Body, Format, Options, base64_object, converted
from eddyline_records.sources.base import Row

#: RFC 4180 section 2, rules 6 and 7; and white space at the ends, which some readers drop.
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$|^$')

#: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"[=+\-@\t\r]")


def csv(columns: Sequence[str], options: Options) -> Body:
    width = len(columns)
    text = _text(options)

    def cell(value: Any) -> str:
        if isinstance(value, str):
            return text(value)
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return options.null
        if isinstance(value, bytes | list | dict | bool):
            return text(orjson.dumps(value, base64_object).decode())
        return repr(value)

    def encode(rows: Sequence[Row]) -> bytes:
        lines = (",".join(map(cell, row[:width])) for row in rows)
        return "".join(f"{line}\r\n" for line in lines).encode()

    header = ",".join(map(text, columns)) + "\r\n"
    return Body(converted(options, encode), header.encode(), tells=True)


CSV = Format("csv", ("text/csv",), csv)


def _text(options: Options) -> Callable[[str], str]:
    """Texts as cells; the text that stands for null is quoted, and so are all that need it."""

    def text(value: str) -> str:
        if options.guard and _FORMULA.match(value):
            value = f"'{value}"
        return _quote(value) if value == options.null or _QUOTED.search(value) else value

    return text


def _quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
