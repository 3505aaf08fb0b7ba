"""Data on standard output, all else on standard error; colours on a terminal alone."""

import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Control characters but the tab: a line of a log must not steer the reader's terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")

#: Colours of sources and topics, one after the other.
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")


def errors() -> Console:
    """The console of all that is no data; it follows NO_COLOR."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """A line for the person before the terminal."""
    errors().print(Text(printable(text), style=style))


def line(text: str) -> None:
    """A line of data, at once; on a terminal without characters that would steer it."""
    sys.stdout.write((printable(text) if sys.stdout.isatty() else text) + "\n")
    sys.stdout.flush()


def styled(*parts: tuple[str, str]) -> None:
    """A line of data from texts and their styles."""
    if not sys.stdout.isatty():
        line(" ".join(text for text, _ in parts if text))
        return
    made = Text(" ").join(Text(printable(text), style=style) for text, style in parts if text)
    Console(highlight=False, soft_wrap=True).print(made)


def json_line(value: Any) -> None:
    """A value as one line of NDJSON."""
    line(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """On a terminal a table; into a pipe fields between tabs, without a head."""
    if not sys.stdout.isatty():
        for row in rows:
            line("\t".join(row))
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(made)


def printable(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)


def colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def clock(seconds: float | None) -> str:
    """The local time of day, with milliseconds."""
    if seconds is None:
        return ""
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{int(seconds % 1 * 1000):03d}"


def size(count: int) -> str:
    """Bytes in words."""
    number, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{count} bytes" if unit == "bytes" else f"{number:.1f} {unit}"


def span(seconds: float) -> str:
    """A length of time in words."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
