"""Knows which number comes next, over all connections of one reader."""

from loadtests.measures import Counters

#: Numbers that may be missing before they are given up: one that comes later counts as repeated.
MISSING = 10_000


class Sequence:
    """Of several sources at once; each counts 1, 2, 3, and is joined anywhere."""

    __slots__ = ("_last", "_missing", "counters")

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self._last: dict[str, int] = {}
        self._missing: set[tuple[str, int]] = set()

    def saw(self, source: str, number: int) -> None:
        last = self._last.get(source)
        if last is None or number == last + 1:
            self._last[source] = number
        elif number > last:
            self.counters.lost += number - last - 1
            new = ((source, n) for n in range(last + 1, min(number, last + MISSING)))
            self._missing.update(new) if len(self._missing) < MISSING else None
            self._last[source] = number
        elif (source, number) in self._missing:
            self._missing.discard((source, number))
            self.counters.lost -= 1
            self.counters.reordered += 1
        else:
            self.counters.repeated += 1

    @property
    def begun(self) -> bool:
        """Whether anything was seen yet."""
        return bool(self._last)

    def forget(self) -> None:
        """The server said that there is a hole: the next number is taken as the first one was."""
        self._last.clear()
        self._missing.clear()
