"""The client of a suite: events, logs, downloads, records, chat; asynchronous."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from eddyline.client import chat, logs, records
from eddyline.client.api import Api
from eddyline.client.chat import Answer
from eddyline.client.event_source import Given
from eddyline.client.events import management, publishing
from eddyline.client.events.messages import (
    History,
    Message,
    Publication,
    Published,
    Rejected,
    Reset,
    Subscriber,
    Ticket,
    Topic,
)
from eddyline.client.events.subscription import subscription
from eddyline.client.files import download
from eddyline.client.files.download import Downloaded, Progress
from eddyline.client.followed import Followed
from eddyline.client.logs import LogLine, LogNote
from eddyline.client.records import Rows, RowsProgress


class AsyncClient:
    """One suite at `url`, such as `https://hub.example`.

    `token`: a bearer token, or a function that gives one at each request. `timeout`: seconds of
    silence after which an answer is given up. `patience`: seconds for which a request is repeated
    that got 429, 5xx or no answer. `client`: yours, and yours to close.

    Each method raises Refused where the server refuses for good, and Failed where no good answer
    came for as long as the patience lasted.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Given | None = None,
        timeout: float = 45.0,
        patience: float = 30.0,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self.api: Api = Api(url, token=token, timeout=timeout, patience=patience, client=client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends its connections; streams that are still open end with them."""
        await self.api.close()

    # Events.

    async def publish(
        self,
        topic: str,
        data: Any,
        *,
        event: str | None = None,
        id: str | None = None,
        retry: int | None = None,
        private: bool = False,
        key: str | None = None,
    ) -> str:
        """Publishes one event, and returns its id: it is in the journal then.

        A text is sent as it is, any other value as JSON. The fields are those of Publication.
        `key`: an idempotency key that outlives this process; without one each call makes its own,
        so that attempts of one call never publish twice.
        """
        made = publication(topic, data, event=event, id=id, retry=retry, private=private)
        return await publishing.publish(self.api, made, key)

    async def publish_many(
        self, publications: Iterable[Publication], *, key: str | None = None
    ) -> list[str]:
        """Publishes all of them or none, in one request, and returns the ids in their order."""
        return await publishing.publish_many(self.api, publications, key)

    def publish_lines(
        self, publications: Iterable[Publication] | AsyncIterable[Publication]
    ) -> AsyncIterator[Published | Rejected]:
        """Publishes any number in constant memory: a result for each, in their order.

        They go in groups, each of which is repeated until all its events have a result: nothing is
        lost, nothing comes twice. An event that is Rejected holds no other one up.
        """
        return publishing.publish_lines(self.api, publications)

    def subscribe(
        self, *topics: str, after: str | None = None, state_file: str | Path | None = None
    ) -> Followed[Message | Reset]:
        """Messages of the topics as they come; of all public topics where none is named.

        `after`: begin after this id, or with the `earliest` retained one. `state_file`: keeps the
        place, which then counts in place of `after`. A gap that can't be filled is a Reset.
        """
        return subscription(self.api, topics, after, _path(state_file))

    async def history(self, *topics: str, after: str | None = None, limit: int = 100) -> History:
        """Retained events, the oldest first."""
        return await management.history(self.api, topics, after, limit)

    def topics(self) -> AsyncIterator[Topic]:
        """Retained topics, those with the newest events first."""
        return management.topics(self.api)

    async def subscribers(self, topic: str | None = None, *, limit: int = 100) -> list[Subscriber]:
        """The subscribers of a topic, or of all, over all processes; scope `events:presence`."""
        return await management.subscribers(self.api, topic, limit)

    async def kick_subscriber(self, id: str) -> None:
        """Ends a subscriber's stream; scope `events:kick`."""
        await management.kick(self.api, "subscriber", id)

    async def kick_subject(self, subject: str) -> None:
        """Ends a subject's streams, and refuses it for EVENTS_KICK_SECONDS; scope `events:kick`."""
        await management.kick(self.api, "subject", subject)

    async def kick_token(self, token_id: str) -> None:
        """Ends the streams of a token by its `jti`, and refuses it; scope `events:kick`."""
        await management.kick(self.api, "token", token_id)

    async def ticket(self) -> Ticket:
        """A ticket with the caller's rights, for an EventSource of a browser."""
        return await management.ticket(self.api)

    # Logs, files, rows, chat.

    def tail(
        self,
        source: str,
        *,
        lines: int = 10,
        after: str | None = None,
        state_file: str | Path | None = None,
    ) -> Followed[LogLine | LogNote]:
        """The last lines of a log, and each new one; notes tell rotations, and lines that are gone.

        `after` and `state_file` are those of `subscribe`.
        """
        return logs.tail(self.api, source, lines, after, _path(state_file))

    def last_lines(self, source: str, lines: int = 10) -> AsyncIterator[LogLine | LogNote]:
        """The last lines of a log, without following it."""
        return logs.last_lines(self.api, source, lines)

    async def log_sources(self) -> list[str]:
        """The logs that the caller may read."""
        return await logs.sources(self.api)

    async def download(
        self,
        file: str,
        to: str | Path,
        *,
        connections: int = 4,
        sha256: str | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Downloaded:
        """A file of the server, as the file `to`, which is there when it is whole.

        Until then its bytes are in `to` with `.part` at its end. The next call goes on there, if
        the server still has the same version, and begins anew otherwise. `connections`: ranges that
        are read at once. `sha256`: the expected digest, in hex; without it the server's counts,
        where it names one. `progress` is called after each write.

        Raises DigestMismatch where the bytes are others, and StateFileError where another process
        downloads to the same file.
        """
        path = download.path_of(file)
        return await download.download(
            self.api, path, Path(to), connections=connections, sha256=sha256, progress=progress
        )

    def files(self, prefix: str = "") -> AsyncIterator[dict[str, Any]]:
        """The files whose paths begin so: `path`, `size`, `modified`, `etag`, `media_type`."""
        return download.files(self.api, prefix)

    def records(
        self,
        dataset: str,
        *,
        columns: Sequence[str] = (),
        where: Mapping[tuple[str, str], object] | None = None,
        after: object = None,
        cursor: str | None = None,
        limit: int | None = None,
        descending: bool = False,
        snapshot: bool = False,
        progress: Callable[[RowsProgress], None] = lambda _: None,
    ) -> Rows:
        """Rows of a dataset in the order of its key, each once, with an end that was checked.

        `where`: conditions by column and operation, `{("id", "gte"): 5}`; the operations are those
        of the service. `after`: a key; `cursor`: that of earlier rows, to go on. `snapshot`: all
        rows as they are at one moment; those after a cut are of another one, which is told.
        `progress` is called after each page.
        """
        query = records.query(columns, where, after, descending=descending, snapshot=snapshot)
        return Rows(self.api, dataset, query, cursor, limit, progress)

    def chat(self, message: str) -> Answer:
        """A model's answer, token by token; it is rejoined where its connection breaks."""
        return Answer(self.api, message)

    def rejoin(self, generation_id: str) -> Answer:
        """An answer that was begun before, from its start: `Answer.generation_id`."""
        return Answer(self.api, generation_id=generation_id)

    async def cancel(self, generation_id: str) -> None:
        """Ends the making of an answer."""
        await chat.cancel(self.api, generation_id)


def publication(topic: str, data: Any, **fields: Any) -> Publication:
    """A publication without the fields that are not set."""
    made: Any = {"topic": topic, "data": data}
    made.update({name: value for name, value in fields.items() if value not in (None, False)})
    typed: Publication = made
    return typed


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
