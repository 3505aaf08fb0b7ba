"""The history of a hub, as JSON: retained entries of topics, and the topics themselves."""

from functools import partial
from typing import Any

from eddyline.auth.principal import Principal
from eddyline.broadcast.catch_up import page_for
from eddyline.broadcast.formats import message
from eddyline.journal.base import Gap, Page
from eddyline.journal.cursor import EARLIEST, Cursor
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.selecting.selection import Selection, may_subscribe

#: Entries, or topics, that one request looks at, whether they are for its principal or not.
SCAN = 2048

PAGE = 256


async def history(hub: Hub, selection: Selection, id: str | None, limit: int) -> dict[str, Any]:
    """Entries that the selection lets through, the oldest first.

    There may be fewer `events` than `limit`, or none, and still `more` to come after `cursor`: one
    request looks at SCAN entries, and passes over those that are for others. Raises Unavailable.
    """
    start = await hub.broadcast.locate(id or EARLIEST, selection)
    after = start if isinstance(start, Cursor) else None
    gap = "unknown" if start == "unknown" else None
    events: list[dict[str, Any]] = []
    looked_at = since = 0
    while True:
        page = await page_for(selection, partial(hub.journal.read, after, PAGE), since)
        if after is None:
            since = page.head.sequence
        if (missed := page.gap_of(selection.may_match)) is not None:
            gap, since = missed, page.head.sequence
            after = _told(missed, after, page)
            continue
        after = page.start(after)
        for entry in page.entries:
            after = entry.cursor
            if selection.matches(entry):
                events.append(message(selection.shown(entry)))
                if len(events) == limit:
                    break
        looked_at += len(page.entries)
        if after.sequence >= page.head.sequence:
            after = page.head  # the end of an epoch is the start of the next
        more = after != page.head
        if not more or not page.entries or len(events) == limit or looked_at >= SCAN:
            break
    reset = {"reset": {"reason": gap, "oldest": str(page.oldest)}} if gap else {}
    return {"events": events, "cursor": str(after), "more": more} | reset


def _told(gap: Gap, after: Cursor | None, page: Page) -> Cursor:
    """Where a reader goes on that was told of a gap."""
    if after is not None and gap == "trimmed" and after.sequence > page.oldest.sequence:
        return after
    return page.oldest


async def topics(
    hub: Hub, principal: Principal, before: Cursor | None, limit: int
) -> dict[str, Any]:
    """Retained topics that the principal may subscribe to, those with the newest entries first.

    `before` is the cursor from which the next request goes on; None at the end. Raises Unavailable.
    """
    found: list[dict[str, str]] = []
    looked_at = 0
    while looked_at < SCAN:
        page = await hub.journal.topics(PAGE, before.sequence if before is not None else None)
        for topic, cursor in page:
            before = cursor
            if may_subscribe(principal.scopes, topic):
                found.append({"topic": topic, "cursor": str(cursor)})
                if len(found) == limit:
                    return {"topics": found, "before": str(before)}
        looked_at += len(page)
        if len(page) < PAGE:
            before = None
            break
    return {"topics": found, "before": str(before) if before is not None else None}
