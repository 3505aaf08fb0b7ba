"""The users' observations, counted by kind of stream, with histograms and a point for each second.

Users count in the `Measures` of their process. A worker's goes to the master with each of its
reports, as the change since the last one (`delta`), and is added up there (`merge`). Seconds meet
by the clocks of the machines.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from loadtests.histogram import Histogram
from loadtests.users import KINDS

Role = Literal["alone", "worker", "master"]

#: The measured times, in seconds.
HISTOGRAMS = (
    "client lag",
    "connect",
    "first byte",
    "event latency",
    "first event",
    "catch-up",
    "gap",
    "publish",
    "log latency",
    "time to first token",
    "token gap",
)

#: The histogram that the points have their percentiles from.
LATENCY = "event latency"

#: Texts of faults that are kept apart.
FAULTS = 50

#: Points that are kept: two hours.
POINTS = 7200

#: Seconds after which the reports of all workers have come.
REPORTED = 5


@dataclass(slots=True)
class Counters:
    """Of one kind of stream. `open` is of now, the rest of all the time."""

    open: int = 0
    received: int = 0
    bytes: int = 0
    #: Items that should have come and did not, came again, or came after their successor.
    lost: int = 0
    repeated: int = 0
    reordered: int = 0
    #: Silences that were too long, and streams that broke off without their end.
    stalled: int = 0
    dirty: int = 0
    reconnects: int = 0
    #: `eddyline.reset`: the server said that it can't tell all.
    resets: int = 0
    #: Put off, or answered with an error status; not answered, or answered with the wrong thing.
    refused: int = 0
    failed: int = 0

    def add(self, other: dict[str, int]) -> None:
        for name, number in other.items():
            setattr(self, name, getattr(self, name) + number)

    def clear(self) -> None:
        """All but the open streams."""
        for name in COUNTERS[1:]:
            setattr(self, name, 0)

    def since(self, other: "Counters") -> dict[str, int]:
        """The change since `before`."""
        return {
            name: change
            for name in COUNTERS
            if (change := getattr(self, name) - getattr(other, name))
        }

    def copy(self) -> "Counters":
        return Counters(*(getattr(self, name) for name in COUNTERS))

    def values(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in COUNTERS}


COUNTERS = tuple(counter.name for counter in fields(Counters))


@dataclass(slots=True)
class Second:
    """The events of one second, over all kinds; `open` by kind, at its end."""

    open: dict[str, int] = field(default_factory=dict)
    events: int = 0
    lost: int = 0
    repeated: int = 0
    latency: Histogram = field(default_factory=Histogram)

    def add(self, other: "Second") -> None:
        for kind, count in other.open.items():
            self.open[kind] = self.open.get(kind, 0) + count
        self.events += other.events
        self.lost += other.lost
        self.repeated += other.repeated
        self.latency.merge(other.latency)

    def compact(self) -> list[Any]:
        return [self.open, self.events, self.lost, self.repeated, self.latency.compact()]

    @classmethod
    def from_compact(cls, compact: list[Any]) -> "Second":
        open, events, lost, repeated, latency = compact
        return cls(open, events, lost, repeated, Histogram.from_compact(latency))


class Measures:
    """Of one process: a worker, the master of some, or both in one, alone."""

    def __init__(self, role: Role = "alone") -> None:
        #: How many users there are, and the faults so far: set by the run.
        self.users: Callable[[], int] = lambda: 0
        self.judge: Callable[[Measures], list[str]] = lambda _: []
        self.kinds = {kind: Counters() for kind in KINDS}
        #: Users may keep the histograms and counters that they add to: those stay.
        self.histograms = {name: Histogram() for name in HISTOGRAMS}
        #: Failures, by their text.
        self.faults: Counter[str] = Counter()
        #: The latency of this second alone: it joins its histogram when the second is over.
        self.latency = Histogram()
        self._role = role
        self.began = 0.0
        self._ended = 0.0
        self._at_end: dict[str, dict[str, int]] = {}
        #: The open streams of each worker, by kind.
        self._open: dict[str, dict[str, int]] = {}
        self._told = {kind: Counters() for kind in KINDS}
        self._ticked = Counters()
        self._ticked_at = int(time.time()) - 1
        #: By unix time: those that reports may still add to. The ones before are points.
        self._seconds: dict[int, Second] = {}
        self._settled_at = 0
        self._points: deque[dict[str, Any]] = deque(maxlen=POINTS)

    def begin(self) -> None:
        """A run begins. Open streams stay open: their users will close them."""
        for counters in (*self.kinds.values(), *self._told.values()):
            counters.clear()
        for made in self.histograms.values():
            made.clear()
        self.faults.clear()
        self.latency = Histogram()
        self._ticked = Counters()
        self._seconds.clear()
        self._points.clear()
        self.began = time.time()
        self._settled_at = int(self.began) - 1
        self._ended = 0.0
        self._at_end = {}
        self._ticked_at = int(self.began) - 1

    def end(self) -> None:
        """The run is over, and all reports of it are here. Of how it is stopped nothing counts."""
        # With the second that is not over: its events are in the sums, too.
        self.tick(time.time() + 1)
        self._ended = time.time()
        self._at_end = {kind: counters.values() for kind, counters in self.kinds.items()}
        self._settle(int(self._ended))

    def was_open(self, kind: str) -> int:
        """How many were open when the run was over."""
        return self._at_end.get(kind, {}).get("open", 0)

    def tick(self, now: float) -> None:
        """Ends the seconds before `now`, a unix time; new events belong to the last of them."""
        if self._ended:
            return
        if self._role == "master":
            self._settle(int(now) - REPORTED)
            return
        last = int(now) - 1
        if last <= self._ticked_at:
            return
        total = self._total()
        open = {kind: counters.open for kind, counters in self.kinds.items()}
        for second in range(self._ticked_at + 1, last + 1):
            self._seconds[second] = Second(open)
        changed = total.since(self._ticked)
        ended = self._seconds[last]
        ended.events = changed.get("received", 0)
        ended.lost = changed.get("lost", 0)
        ended.repeated = changed.get("repeated", 0)
        ended.latency, self.latency = self.latency, Histogram()
        self.histograms[LATENCY].merge(ended.latency)
        self._ticked, self._ticked_at = total, last
        if self._role == "alone":
            self._settle(last)

    def _total(self) -> Counters:
        """Of all kinds; `received` of events alone."""
        total = Counters()
        for counters in self.kinds.values():
            total.add(counters.values())
        total.received = self.kinds["events"].received
        return total

    def delta(self) -> dict[str, Any]:
        """The change since the last one, for `merge` at the master."""
        self.tick(time.time())
        new = {
            "kinds": {kind: self.kinds[kind].since(self._told[kind]) for kind in KINDS},
            "histograms": {n: made.compact() for n, made in self.histograms.items() if made.count},
            "faults": dict(self.faults),
            "seconds": {second: made.compact() for second, made in self._seconds.items()},
        }
        self._told = {kind: self.kinds[kind].copy() for kind in KINDS}
        for made in self.histograms.values():
            made.clear()
        self.faults.clear()
        self._seconds.clear()
        return new

    def merge(self, delta: dict[str, Any], worker: str = "") -> None:
        own = self._open.setdefault(worker, dict.fromkeys(KINDS, 0))
        for kind, changes in delta["kinds"].items():
            self.kinds[kind].add(changes)
            own[kind] += changes.get("open", 0)
        for name, compact in delta["histograms"].items():
            self.histograms[name].merge(Histogram.from_compact(compact))
        for text, count in delta["faults"].items():
            self.note(text, count)
        for second, compact in delta["seconds"].items():
            if int(second) > self._settled_at and not self._ended:
                self._seconds.setdefault(int(second), Second()).add(Second.from_compact(compact))

    def keep(self, workers: Iterable[str]) -> set[str]:
        """Returns which workers are not among these any more: their open streams are gone."""
        gone = self._open.keys() - set(workers)
        for worker in gone:
            for kind, count in self._open.pop(worker).items():
                self.kinds[kind].open -= count
        return gone

    def note(self, fault: str, count: int = 1) -> None:
        """Texts are few, however much fails: keep names and numbers out of them."""
        if len(self.faults) >= FAULTS and fault not in self.faults:
            fault = "others"
        self.faults[fault] += count

    def elapsed(self) -> float:
        return (self._ended or time.time()) - self.began if self.began else 0.0

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it; seconds everywhere."""
        return {
            "began": self.began,
            "elapsed": self.elapsed(),
            "users": self.users(),
            "kinds": (
                self._at_end
                if self._ended
                else {kind: counters.values() for kind, counters in self.kinds.items()}
            ),
            "histograms": {
                name: made.summary() for name, made in sorted(self.histograms.items()) if made.count
            },
            "faults": dict(self.faults),
            "series": list(self._points),
            "verdict": self.judge(self),
        }

    def _settle(self, last: int) -> None:
        """Makes points of the seconds that no report will add to."""
        for second in sorted(self._seconds):
            if second <= last:
                self._points.append(self._point(second, self._seconds.pop(second)))
                self._settled_at = second

    def _point(self, second: int, ended: Second) -> dict[str, Any]:
        before = self._points[-1] if self._points else {"lost": 0, "repeated": 0}
        return {
            "t": second - int(self.began),
            "open": ended.open,
            "events": ended.events,
            "p50": ended.latency.percentile(0.5),
            "p99": ended.latency.percentile(0.99),
            "lost": before["lost"] + ended.lost,
            "repeated": before["repeated"] + ended.repeated,
        }
