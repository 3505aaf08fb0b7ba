"""Values that the processes of one hub share: those that a process owns, and those to pop once."""

import itertools
import time
from typing import Protocol


class State(Protocol):
    """Values by kind and key; no two processes use the same key of a kind. Times are in seconds.

    Every method raises Unavailable while the state is away.
    """

    #: Whether other processes read it, and it outlives this one.
    shared: bool

    async def put(self, kind: str, key: str, value: bytes, seconds: float | None = None) -> None:
        """Keeps a value. It belongs to this process: `drop` removes it, or the state does, less
        than 10 s after the process died. With `seconds` it has no owner and expires after these.
        """

    async def drop(self, kind: str, key: str) -> None:
        """Forgets a value of this process. A key that is not there is no error."""

    async def all(self, kind: str) -> dict[str, bytes]:
        """The values of all processes, and those without an owner."""

    async def put_once(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps a value until the first `pop` of any process, or until it expires."""

    async def pop(self, key: str, *, leave: bool = False) -> bytes | None:
        """The value of `put_once`, for one caller; None if another had it, or it has expired.

        `leave`: the value stays for the next caller.
        """

    async def charge(self, key: str, seconds: float, burst: float) -> float:
        """Adds to a debt that all processes share, and that time pays off: one second a second.

        A debt of more than `burst` seconds stays as it is: the answer is how long to wait until it
        is no more than that. Otherwise the answer is 0.
        """


class MemoryState:
    """The state of a hub that is one process."""

    shared = False

    def __init__(self) -> None:
        self._owned: dict[str, dict[str, bytes]] = {}
        self._expiring: dict[str, dict[str, tuple[float, bytes]]] = {}
        #: The oldest first: as a rule that one expires first.
        self._once: dict[str, tuple[float, bytes]] = {}
        #: When each debt is paid, on the monotonic clock; the soonest come first, more or less.
        self._debts: dict[str, float] = {}

    async def put(self, kind: str, key: str, value: bytes, seconds: float | None = None) -> None:
        if seconds is None:
            self._owned.setdefault(kind, {})[key] = shrink(value)
        else:
            self._expiring.setdefault(kind, {})[key] = (time.monotonic() + seconds, value)

    async def drop(self, kind: str, key: str) -> None:
        self._owned.get(kind, {}).pop(key, None)

    async def all(self, kind: str) -> dict[str, bytes]:
        now = time.monotonic()
        kept = {k: v for k, v in self._expiring.get(kind, {}).items() if v[0] > now}
        self._expiring[kind] = kept
        return self._owned.get(kind, {}) | {key: value for key, (_, value) in kept.items()}

    async def put_once(self, key: str, value: bytes, seconds: float) -> None:
        now = time.monotonic()
        expired = itertools.takewhile(lambda kept: kept[1][0] <= now, self._once.items())
        for old, _ in list(expired):
            del self._once[old]
        # A key that is put again moves to the end: in its old place it would keep the expired
        # values behind it from being removed.
        self._once.pop(key, None)
        self._once[key] = (now + seconds, value)

    async def pop(self, key: str, *, leave: bool = False) -> bytes | None:
        until, value = self._once.get(key, (0.0, b""))
        if not leave:
            self._once.pop(key, None)
        return value if until > time.monotonic() else None

    async def charge(self, key: str, seconds: float, burst: float) -> float:
        now = time.monotonic()
        while self._debts and next(iter(self._debts.values())) <= now:
            del self._debts[next(iter(self._debts))]
        paid_at = max(now, self._debts.get(key, 0.0))
        if paid_at - now > burst:
            return paid_at - now - burst
        self._debts.pop(key, None)
        self._debts[key] = paid_at + seconds
        return 0.0


def shrink(value: bytes) -> bytes:
    """The same bytes without spare room: orjson's results hold up to 4 KiB of it (measured)."""
    return b"%b" % value
