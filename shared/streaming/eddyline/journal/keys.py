"""Idempotency keys in the memory of one process, bounded by age and by bytes."""

import struct
import time
from collections.abc import Sequence
from hashlib import blake2b

from eddyline.errors import Unavailable
from eddyline.journal.base import NewEntry, Outcome, Receipt
from eddyline.journal.cursor import Cursor

#: Bytes that a key takes beside the id of its entry: two short byte strings and their place in a
#: dict (measured with 100,000 of them).
KEY_OVERHEAD = 200

#: Seconds after which a publisher may try again where no key finds room.
FULL_RETRY = 30.0

_PLACE = struct.Struct("=dQ")  # unix seconds, sequence


class Keys:
    """The keys of the last `max_age` seconds, each with its entry: those that are older are gone.

    A key that is forgotten early would let an entry in twice, and silently. So a publisher is
    refused where `max_bytes` are taken.
    """

    def __init__(self, epoch: str, max_age: float, max_bytes: int) -> None:
        self._epoch = epoch
        self._max_age = max_age
        self._max_bytes = max_bytes
        #: By the digest of a key: time, sequence, digest of the entry, its own id. Oldest first.
        self._known: dict[bytes, bytes] = {}
        self.bytes: int = 0

    def __len__(self) -> int:
        return len(self._known)

    def make_room(self, entries: Sequence[NewEntry]) -> None:
        """Called before entries are appended; raises Unavailable where their keys find no room."""
        self._expire(time.time())
        needed = sum(KEY_OVERHEAD + len(new.id or "") for new in entries if new.key is not None)
        if needed and self.bytes + needed > self._max_bytes:
            raise Unavailable(
                f"the idempotency keys of the last {self._max_age:g} seconds take all of their"
                f" {self._max_bytes} bytes: publish without a key, or later",
                FULL_RETRY,
            )

    def find(self, new: NewEntry) -> Receipt | None:
        """The receipt of the entry that came with this key before: repeated, or in conflict."""
        known = self._known.get(_digest(new.key or ""))
        if known is None:
            return None
        _, sequence = _PLACE.unpack_from(known)
        outcome: Outcome = "repeated" if known[16:25] == _entry_digest(new) else "conflict"
        cursor = Cursor(self._epoch, sequence)
        return Receipt(cursor, known[25:].decode() or str(cursor), outcome)

    def add(self, new: NewEntry, receipt: Receipt) -> None:
        own = (new.id or "").encode()
        place = _PLACE.pack(time.time(), receipt.cursor.sequence)
        self._known[_digest(new.key or "")] = place + _entry_digest(new) + own
        self.bytes += KEY_OVERHEAD + len(own)

    def _expire(self, now: float) -> None:
        while self._known:
            oldest = next(iter(self._known))
            known = self._known[oldest]
            if now - _PLACE.unpack_from(known)[0] <= self._max_age:
                return
            del self._known[oldest]
            self.bytes -= KEY_OVERHEAD + len(known) - 25


def _digest(key: str) -> bytes:
    return blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest()


def _entry_digest(new: NewEntry) -> bytes:
    return bytes.fromhex(new.digest())
