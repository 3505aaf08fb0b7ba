"""Server-sent events whose ids are places in files."""

from eddyline.broadcast.formats import ServerSentEvents
from eddyline.journal.base import Gap
from eddyline.journal.cursor import Cursor
from eddyline.wire import sse

#: Milliseconds after which a client comes back that was too slow for the lines in memory.
_RETRY = 500


class LogEvents(ServerSentEvents):
    """A place never ages, and a client has its own: no heartbeat moves it."""

    # A client that reads too slowly comes back with the id of its last line, and is given those
    # that follow it from the file.
    ends_at_gap = True

    def heartbeat(self, cursor: Cursor | None) -> bytes:
        return sse.COMMENT

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        return sse.retry_frame(_RETRY)


EVENTS = LogEvents()
