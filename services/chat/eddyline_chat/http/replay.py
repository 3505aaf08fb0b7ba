"""The log of an answer as the body of a response, in a protocol that is made of its records."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

from eddyline_chat.generations.generations import Generations
from eddyline_chat.generations.starting import Starting

#: A comment that no client takes for an event.
_PING = b": ping\n"


class Translation(Protocol):
    """The state of one replay: the same records make the same bytes."""

    def record(self, value: dict[str, Any]) -> bytes:
        """The bytes of a record: of a chunk, or of an error."""

    def end(self, reason: str) -> bytes:
        """The last bytes of an answer that has ended for `reason`."""


async def replay(
    generations: Generations,
    owner: str | None,
    id: str,
    heartbeat: float,
    translation: Translation,
    started: Starting | None = None,
) -> AsyncIterator[bytes]:
    """The bytes of an answer from its first record on. `started`: the answer is this client's, and
    its leaving is told to it.
    """
    try:
        async for record in generations.follow(owner, id, heartbeat):
            if record is None:
                yield _PING
            elif data := (
                translation.end(record) if isinstance(record, str) else translation.record(record)
            ):
                yield data
    finally:
        if started is not None:
            started.leave()
