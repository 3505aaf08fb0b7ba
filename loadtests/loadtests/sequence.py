"""Knows which event comes next, over all connections of one reader."""

from dataclasses import dataclass


@dataclass(slots=True)
class Sequence:
    """The ids are `<epoch>.<sequence>`; of a new epoch, a new journal, nothing is known yet."""

    _epoch: str = ""
    _last: int = 0

    def saw(self, id: str) -> str | None:
        """What is wrong with this id after the ones before; None where it is the next."""
        epoch, _, number = id.rpartition(".")
        before, self._last = self._last, int(number)
        if epoch != self._epoch:
            self._epoch = epoch
            return None
        if self._last == before + 1:
            return None
        what = "lost" if self._last > before else "got twice"
        return f"{what}: {self._last} came after {before}"
