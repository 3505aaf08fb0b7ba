"""What the processes of one hub know together: who is there, and what may be taken once."""

import itertools
import time
from typing import Protocol


class State(Protocol):
    """Values by kind and key; no key is in two processes. Times are in seconds.

    Every method raises Unavailable while the state is away.
    """

    async def put(self, kind: str, key: str, value: bytes, seconds: float | None = None) -> None:
        """Keeps a value of this process: it goes when it is dropped, or soon after the process
        died. With `seconds` it is nobody's: it stays for so long.
        """

    async def drop(self, kind: str, key: str) -> None:
        """Forgets a value of this process, also one that is not there."""

    async def all(self, kind: str) -> dict[str, bytes]:
        """The values of all processes, and of nobody."""

    async def lend(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps a value for `take`, whichever process is asked."""

    async def take(self, key: str, *, leave: bool = False) -> bytes | None:
        """The lent value, once; None where it was taken, never was, or is too old. With `leave`
        it stays.
        """


class MemoryState:
    """The state of a hub that is one process."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, bytes]] = {}
        self._kept: dict[str, dict[str, tuple[float, bytes]]] = {}
        #: The oldest first, which as a rule is the first to go.
        self._lent: dict[str, tuple[float, bytes]] = {}

    async def put(self, kind: str, key: str, value: bytes, seconds: float | None = None) -> None:
        if seconds is None:
            self._kinds.setdefault(kind, {})[key] = snug(value)
        else:
            self._kept.setdefault(kind, {})[key] = (time.monotonic() + seconds, value)

    async def drop(self, kind: str, key: str) -> None:
        self._kinds.get(kind, {}).pop(key, None)

    async def all(self, kind: str) -> dict[str, bytes]:
        now = time.monotonic()
        kept = {k: v for k, v in self._kept.get(kind, {}).items() if v[0] > now}
        self._kept[kind] = kept
        return self._kinds.get(kind, {}) | {key: value for key, (_, value) in kept.items()}

    async def lend(self, key: str, value: bytes, seconds: float) -> None:
        now = time.monotonic()
        gone = itertools.takewhile(lambda kept: kept[1][0] <= now, self._lent.items())
        for old, _ in list(gone):
            del self._lent[old]
        # Lent again, it is the newest: in its old place it would hold up those behind it.
        self._lent.pop(key, None)
        self._lent[key] = (now + seconds, value)

    async def take(self, key: str, *, leave: bool = False) -> bytes | None:
        until, value = self._lent.get(key, (0.0, b""))
        if not leave:
            self._lent.pop(key, None)
        return value if until > time.monotonic() else None


def snug(value: bytes) -> bytes:
    """The same bytes without room behind them: what orjson makes keeps up to 4 KiB (measured)."""
    return b"%b" % value
