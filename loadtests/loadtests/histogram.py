"""Seconds by how often they came: 0.1 ms apart at the low end, within 1 % above, up to an hour.

As in HdrHistogram: 128 buckets of one width, then 128 of twice that width, and so on. Locust's own
statistics round to whole milliseconds, and have nothing below one.
"""

from typing import Any, Self

#: Buckets in a second, at the low end.
_SCALE = 10_000
_BITS = 7
_LAST = 3600 * _SCALE


def _index(units: int) -> int:
    shift = max(0, units.bit_length() - _BITS - 1)
    return (shift << _BITS) + (units >> shift)


_SIZE = _index(_LAST) + 1


def _middle(index: int) -> float:
    """Seconds, in the middle of a bucket."""
    shift = max(0, (index >> _BITS) - 1)
    return ((index - (shift << _BITS) << shift) + (1 << shift) / 2) / _SCALE


class Histogram:
    __slots__ = ("_counts", "count", "max")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.max = 0.0

    def add(self, seconds: float) -> None:
        """Less than nothing, by a clock that is behind, counts as nothing."""
        units = int(seconds * _SCALE)
        # Not by _index: each event pays for this.
        if units < 128:
            index = units if units > 0 else 0
        elif units < _LAST:
            shift = units.bit_length() - 8
            index = (shift << 7) + (units >> shift)
        else:
            index = _SIZE - 1
        counts = self._counts
        counts[index] = counts.get(index, 0) + 1
        self.count += 1
        if seconds > self.max:
            self.max = seconds

    def percentile(self, share: float) -> float:
        """Seconds that `share` of all, between 0 and 1, did not exceed; 0 of nothing."""
        wanted = share * self.count
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= wanted:
                return min(_middle(index), self.max)
        return self.max

    def merge(self, other: "Histogram") -> None:
        for index, count in other._counts.items():
            self._counts[index] = self._counts.get(index, 0) + count
        self.count += other.count
        self.max = max(self.max, other.max)

    def clear(self) -> None:
        self._counts.clear()
        self.count = 0
        self.max = 0.0

    def compact(self) -> list[Any]:
        """A form for JSON and msgpack: the maximum, then buckets and their counts in turn."""
        return [self.max, *(number for pair in self._counts.items() for number in pair)]

    @classmethod
    def from_compact(cls, compact: list[Any]) -> Self:
        """The histogram that `compact` was made of."""
        made = cls()
        made.max = compact[0]
        made._counts = dict(zip(compact[1::2], compact[2::2], strict=True))
        made.count = sum(made._counts.values())
        return made

    def summary(self) -> dict[str, float]:
        """Seconds, and the count."""
        return {
            "count": self.count,
            "p50": self.percentile(0.5),
            "p90": self.percentile(0.9),
            "p99": self.percentile(0.99),
            "p999": self.percentile(0.999),
            "max": self.max,
        }
