"""How a resource names its hub, and the hub's newest event (Mercure, section Discovery)."""

from eddyline.journal.cursor import EARLIEST, Cursor


def hub_link(url: str, last: str | None = None) -> str:
    """The value of a `Link` header; `last`: where to resume to miss nothing since the answer."""
    cursor = "" if last is None else f'; last-event-id="{last}"'
    return f'<{url}>; rel="mercure"{cursor}'


def last_event_id(head: Cursor) -> str:
    """The hub's newest event; its cursor, because its id may be that of a private one."""
    return str(head) if head.sequence else EARLIEST
