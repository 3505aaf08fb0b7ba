"""The faults of a run, by the thresholds, in words; and the table of its end."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from loadtests.measures import COUNTERS, HISTOGRAMS, Measures
from loadtests.users import KINDS

#: The noun of one lost item, by kind of stream; that of other kinds is "message".
_UNITS = {
    "events": "event",
    "logs": "line",
    "chat": "character",
    "records": "row",
    "downloads": "file",
}

#: The words for a counter that is not 0: of one, and of many.
_TEXTS = {
    "lost": ("lost {n} {unit}", "lost {n} {unit}s"),
    "repeated": ("{n} {unit} came twice", "{n} {unit}s came twice"),
    "reordered": ("{n} {unit} came out of order", "{n} {unit}s came out of order"),
    "stalled": ("{n} silence was too long", "{n} silences were too long"),
    "dirty": ("{n} stream was cut", "{n} streams were cut"),
    "resets": ("{n} stream was told of a gap", "{n} streams were told of a gap"),
    "refused": ("{n} request was refused", "{n} requests were refused"),
    "failed": ("{n} request failed", "{n} requests failed"),
}


class BadThresholds(Exception):
    """The file can't be used; the text says why."""


@dataclass(frozen=True)
class Check:
    """One bound of a run: `text` is the value beside the bound, and `fault` a sentence beyond it.

    `group` is a kind of stream, or `seconds`.
    """

    group: str
    name: str
    text: str
    fault: str | None


@dataclass(frozen=True)
class Thresholds:
    #: By kind of stream and counter.
    most: dict[str, dict[str, int]]
    #: By histogram and percentile, seconds.
    seconds: dict[str, dict[str, float]]

    @classmethod
    def read(cls, path: Path) -> "Thresholds":
        """Raises BadThresholds, which names the file, the key and the value."""
        try:
            return cls.from_table(tomllib.loads(path.read_text()))
        except (OSError, ValueError, BadThresholds) as error:
            raise BadThresholds(f"{path}: {error}") from None

    @classmethod
    def from_table(cls, found: dict[str, Any]) -> "Thresholds":
        """Raises BadThresholds."""
        for section in found:
            _check_name("", section, ("most", "seconds"))
        limits = _table("most", found.get("most", {}))
        all_kinds = {name: limit for name, limit in limits.items() if name not in KINDS}
        _check("most", all_kinds, (*_TEXTS, *KINDS))
        of_one = {k: _table(f"most.{k}", v) for k, v in limits.items() if k in KINDS}
        for kind, own in of_one.items():
            _check(f"most.{kind}", own, _TEXTS)
        seconds = {n: _table(f"seconds.{n}", v) for n, v in _items("seconds", found)}
        for name, parts in seconds.items():
            _check_name("seconds.", name, HISTOGRAMS)
            _check(f"seconds.{name}", parts, ("p50", "p90", "p99", "p999", "max"))
        return cls({kind: all_kinds | of_one.get(kind, {}) for kind in KINDS}, seconds)

    def faults(self, measures: Measures) -> list[str]:
        """The faults, worst first; none of a good run."""
        others = [text for text in measures.faults if text.partition(":")[0] not in KINDS]
        counted = [check.fault for check in self._counted(measures) if check.fault]
        slow = [check.fault for check in self._timed(measures) if check.fault]
        return [*others, *counted, *_unheard(measures), *slow]

    def checks(self, measures: Measures) -> list[Check]:
        """Each bound of the kinds that took part, and of the times that were measured."""
        there = {kind for kind, each in measures.kinds.items() if any(each.values().values())}
        counted = [check for check in self._counted(measures) if check.group in there]
        timed = [
            check
            for name in self.seconds
            if measures.histograms[name].count
            for check in self._timed(measures, name)
        ]
        return [*counted, *timed]

    def _counted(self, measures: Measures) -> Iterator[Check]:
        for kind, limits in self.most.items():
            counters = measures.kinds[kind].values()
            for counter, limit in limits.items():
                number, fault = counters[counter], None
                if number > limit:
                    unit = _UNITS.get(kind, "message")
                    text = _TEXTS[counter][number != 1].format(n=number, unit=unit)
                    allowed = f", more than {limit}" if limit else ""
                    fault = f"{kind}: {text}{allowed}{_why(measures, kind, counter)}"
                yield Check(kind, counter, f"{number} of {limit}", fault)

    def _timed(self, measures: Measures, only: str | None = None) -> Iterator[Check]:
        for name, limits in self.seconds.items():
            if only not in (None, name):
                continue
            summary = measures.histograms[name].summary()
            for percentile, limit in limits.items():
                value, bound = milliseconds(summary[percentile]), milliseconds(limit)
                slow = f"{name}: {percentile} {value}, more than {bound}"
                fault = slow if summary[percentile] > limit else None
                yield Check("seconds", f"{name} {percentile}", f"{value} of {bound}", fault)


def _items(key: str, found: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    return _table(key, found.get(key, {})).items()


def _table(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadThresholds(f"{key} is {value!r}, expected a table")
    return value


def _check_name(prefix: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise BadThresholds(f"{prefix}{name} is none of {', '.join(known)}")


def _check(key: str, limits: dict[str, Any], known: Iterable[str]) -> None:
    for name, limit in limits.items():
        _check_name(f"{key}.", name, known)
        number = isinstance(limit, int | float) and not isinstance(limit, bool)
        if not number or not 0 <= limit < inf:
            raise BadThresholds(f"{key}.{name} is {limit!r}, expected a number of 0 or more")


def _why(measures: Measures, kind: str, counter: str) -> str:
    if counter != "failed":
        return ""
    texts = [
        f"{text.removeprefix(f'{kind}: ')} ({number})"
        for text, number in measures.faults.most_common()
        if text.startswith(f"{kind}: ")
    ]
    return "".join(f"\n    {text}" for text in texts)


def _unheard(measures: Measures) -> Iterator[str]:
    """A run that read nothing proves nothing."""
    if not any(counters.received for counters in measures.kinds.values()):
        yield "nothing was received"
        return
    for kind, counters in measures.kinds.items():
        # Users may be stopped by now: the streams that were open until then count.
        asked = counters.open or measures.was_open(kind) or counters.bytes
        if asked and not counters.received:
            yield f"{kind}: nothing was received"


def milliseconds(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def table(snapshot: dict[str, Any]) -> str:
    """By kind, then by histogram."""
    shown = [name for name in COUNTERS if name != "bytes"]
    rows = [["", *shown]]
    for kind, counters in snapshot["kinds"].items():
        if any(counters.values()):
            rows.append([kind, *(str(counters[name]) for name in shown)])
    lines = _columns(rows)
    rows = [["", "count", "p50", "p90", "p99", "p99.9", "max"]]
    for name, summary in snapshot["histograms"].items():
        values = (summary[p] for p in ("p50", "p90", "p99", "p999", "max"))
        rows.append([name, str(summary["count"]), *(milliseconds(value) for value in values)])
    return "\n".join([*lines, "", *_columns(rows)])


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if not n else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
