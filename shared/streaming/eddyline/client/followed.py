"""A stream that is followed for as long as it is read, with its place in a file if you like."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, Self, TypeVar

from eddyline.client.event_source import EventSource
from eddyline.client.state_file import StateFile
from eddyline.wire.sse import Event

T = TypeVar("T")


class Followed(Generic[T]):
    """An asynchronous iterator that comes back by itself and resumes: nothing lost, nothing twice.

    With a state file the place is kept as soon as the next item is asked for. So an item that was
    being handled at the moment of a kill comes again. Raises Refused where the server refuses for
    good, and StateFileError.

    `open_source` gives the stream after a last event id; `stream` names it in the state file.
    """

    def __init__(
        self,
        open_source: Callable[[str], EventSource],
        item: Callable[[Event], T],
        *,
        stream: str,
        after: str | None,
        state_file: Path | None,
    ) -> None:
        self._state = StateFile(state_file, stream) if state_file else None
        resumed = self._state.last_event_id if self._state else ""
        self._source = open_source(resumed or after or "")
        self._item = item

    @property
    def last_event_id(self) -> str:
        """Where another stream would go on after the last item that was taken here."""
        return self._source.last_event_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        self.save()
        return self._item(await anext(self._source))

    def save(self) -> None:
        """Keeps the place after the item that was taken last, which has been handled."""
        if self._state is not None and self.last_event_id:
            self._state.save(self.last_event_id)

    async def close(self) -> None:
        """Ends the stream. The last item counts as handled by `save` alone."""
        await self._source.close()
        if self._state is not None:
            self._state.close()
