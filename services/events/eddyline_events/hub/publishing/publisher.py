"""The way of events into the journal: granted, limited, timed, counted."""

import time
from collections.abc import Sequence

from eddyline.auth.principal import Principal
from eddyline.errors import Conflict, StreamingError, Unavailable
from eddyline.journal.base import Journal, NewEntry, Receipt
from eddyline.telemetry import metrics
from eddyline_events.hub.publishing.rate import Rate


class KeyConflict(StreamingError):
    """An idempotency key comes again with another event."""

    status = 422
    title = "Idempotency key conflict"


class Publisher:
    """One for each hub and process."""

    def __init__(self, journal: Journal, rate: Rate) -> None:
        self.rate = rate
        self._journal = journal

    async def append(self, batch: Sequence[NewEntry]) -> list[Receipt]:
        """The receipts of the events, once they are in the journal; raises Unavailable."""
        began = time.monotonic()
        try:
            receipts = await self._journal.append(batch)
        except Unavailable:
            metrics.published["unavailable"].inc(len(batch))
            raise
        metrics.publish_seconds.observe(time.monotonic() - began)
        counts = dict.fromkeys(("appended", "repeated", "conflict", "taken"), 0)
        for receipt in receipts:
            counts[receipt.outcome] += 1
        for outcome, count in counts.items():
            if count:
                metrics.published[outcome].inc(count)
        return receipts


class Grants:
    """The topics that one principal may publish to; each is looked at once."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal
        self._all = principal.allows("events", "publish")
        self._granted: set[str] = set()

    def require(self, topic: str) -> None:
        """Raises Forbidden, which names the topic."""
        if self._all or topic in self._granted:
            return
        self._principal.require("events", "publish", topic)
        if len(self._granted) < 10_000:
            self._granted.add(topic)


def conflict(receipt: Receipt, where: str) -> StreamingError | None:
    """Why an event is not in the journal; None where it is."""
    match receipt.outcome:
        case "conflict":
            return KeyConflict(
                f"{where}: its idempotency key was used for another event: use a new key for a new"
                " event"
            )
        case "taken":
            return Conflict(
                f"{where}: the id {receipt.id!r} is that of another event: give each its own, or"
                " none"
            )
    return None
