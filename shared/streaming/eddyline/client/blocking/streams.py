"""The streams of the asynchronous client, for `for` loops."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, Self, TypeVar

from eddyline.client.blocking.portal import Portal
from eddyline.client.chat import Answer
from eddyline.client.followed import Followed
from eddyline.client.records import Row, Rows, RowsEnd

T = TypeVar("T")

_END: Any = object()


class Items(Generic[T]):
    """The items of an asynchronous iterator, for a `for` loop; closed by `with`, or by its end."""

    def __init__(self, portal: Portal, items: AsyncIterator[T]) -> None:
        self._portal = portal
        self._items = items

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item = self._portal.run(self._next())
        if item is _END:
            raise StopIteration
        return item

    def close(self) -> None:
        """Ends the stream."""
        self._portal.run(self._close())

    async def _next(self) -> T:
        return await anext(self._items, _END)

    async def _close(self) -> None:
        # A generator has another name for it.
        close: Any = getattr(self._items, "close", None) or getattr(self._items, "aclose", None)
        if close is not None:
            await close()


class FollowedItems(Items[T]):
    """The items of a stream that is followed: see Followed."""

    def __init__(self, portal: Portal, followed: Followed[T]) -> None:
        super().__init__(portal, followed)
        self._followed = followed

    @property
    def last_event_id(self) -> str:
        """Where another stream would go on after the last item that was taken here."""
        return self._followed.last_event_id

    def save(self) -> None:
        """Keeps the place after the item that was taken last, which has been handled."""
        self._followed.save()


class AnswerItems(Items[str]):
    """The tokens of an answer: see Answer."""

    def __init__(self, portal: Portal, answer: Answer) -> None:
        super().__init__(portal, answer)
        self._answer = answer

    @property
    def finish_reason(self) -> str | None:
        """Known at the end: `stop`, or `length` where the model's limit cut the answer."""
        return self._answer.finish_reason

    @property
    def generation_id(self) -> str | None:
        """The name of the answer on the server, once it has begun."""
        return self._answer.generation_id

    def text(self) -> str:
        """The rest of the answer, when all of it is there."""
        return self._portal.run(self._answer.text())


class RowItems(Items[Row]):
    """The rows of a dataset: see Rows."""

    def __init__(self, portal: Portal, rows: Rows) -> None:
        super().__init__(portal, rows)
        self._rows = rows

    @property
    def cursor(self) -> str | None:
        """The place after the last page."""
        return self._rows.cursor

    @property
    def changed(self) -> bool:
        """Known at the end: others wrote meanwhile."""
        return self._rows.changed

    @property
    def end(self) -> RowsEnd | None:
        """Known after the last row."""
        return self._rows.end

    def pages(self) -> Items[list[Row]]:
        """The rows in lists, as the server made its pages."""
        return Items(self._portal, self._rows.pages())
