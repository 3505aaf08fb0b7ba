"""What the processes of one hub know together: who is there, and what may be taken once."""

import time
from typing import Protocol


class State(Protocol):
    """Values by kind and key. What a process has put goes when it drops it, or soon after it died.

    Every method raises Unavailable while the state is away.
    """

    async def put(self, kind: str, key: str, value: bytes) -> None:
        """Keeps a value of this process."""

    async def drop(self, kind: str, key: str) -> None:
        """Forgets a value of this process, also one that is not there."""

    async def all(self, kind: str) -> dict[str, bytes]:
        """The values of all processes."""

    async def lend(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps a value for `take`, whichever process is asked."""

    async def take(self, key: str) -> bytes | None:
        """The lent value, once; None where it was taken, never was, or is too old."""


class MemoryState:
    """The state of a hub that is one process."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, bytes]] = {}
        self._lent: dict[str, tuple[float, bytes]] = {}

    async def put(self, kind: str, key: str, value: bytes) -> None:
        self._kinds.setdefault(kind, {})[key] = value

    async def drop(self, kind: str, key: str) -> None:
        self._kinds.get(kind, {}).pop(key, None)

    async def all(self, kind: str) -> dict[str, bytes]:
        return dict(self._kinds.get(kind, {}))

    async def lend(self, key: str, value: bytes, seconds: float) -> None:
        now = time.monotonic()
        self._lent = {k: kept for k, kept in self._lent.items() if kept[0] > now}
        self._lent[key] = (now + seconds, value)

    async def take(self, key: str) -> bytes | None:
        until, value = self._lent.pop(key, (0.0, b""))
        return value if until > time.monotonic() else None
