"""The client of a suite for programs without an event loop: Django, Celery, scripts."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Self
from weakref import finalize

from eddyline.client.blocking.portal import Portal
from eddyline.client.blocking.streams import AnswerItems, FollowedItems, Items, RowItems
from eddyline.client.client import AsyncClient
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
from eddyline.client.files.download import Downloaded, Progress
from eddyline.client.logs import LogLine, LogNote
from eddyline.client.records import RowsProgress

Token = str | Callable[[], str]


class Client:
    """AsyncClient, method by method, for any number of threads; also in a process that was forked.

    Its streams are iterators: `with client.subscribe("orders") as events: for event in events: …`
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token | None = None,
        timeout: float = 45.0,
        patience: float = 30.0,
    ) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._patience = patience
        self._lock = Lock()
        self._process = 0
        self._portal: Portal
        self._end: finalize[Any, Client]
        self._client: AsyncClient

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends its connections and its thread; the next call would make new ones."""
        with self._lock:
            if self._process == os.getpid():
                self._end()
                self._portal.join()
            self._process = 0

    def publish(
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
        """See AsyncClient.publish."""
        client, portal = self._open()
        fields: Any = {"event": event, "id": id, "retry": retry, "private": private}
        return portal.run(client.publish(topic, data, key=key, **fields))

    def publish_many(
        self, publications: Iterable[Publication], *, key: str | None = None
    ) -> list[str]:
        """See AsyncClient.publish_many."""
        client, portal = self._open()
        return portal.run(client.publish_many(publications, key=key))

    def publish_lines(self, publications: Iterable[Publication]) -> Items[Published | Rejected]:
        """See AsyncClient.publish_lines. Each group is published as its first result is read."""
        client, portal = self._open()
        return Items(portal, client.publish_lines(publications))

    def subscribe(
        self, *topics: str, after: str | None = None, state_file: str | Path | None = None
    ) -> FollowedItems[Message | Reset]:
        """See AsyncClient.subscribe."""
        client, portal = self._open()
        stream = client.subscribe(*topics, after=after, state_file=state_file)
        return FollowedItems(portal, stream)

    def history(self, *topics: str, after: str | None = None, limit: int = 100) -> History:
        """See AsyncClient.history."""
        client, portal = self._open()
        return portal.run(client.history(*topics, after=after, limit=limit))

    def topics(self) -> Items[Topic]:
        """See AsyncClient.topics."""
        client, portal = self._open()
        return Items(portal, client.topics())

    def subscribers(self, topic: str | None = None, *, limit: int = 100) -> list[Subscriber]:
        """See AsyncClient.subscribers."""
        client, portal = self._open()
        return portal.run(client.subscribers(topic, limit=limit))

    def kick_subscriber(self, id: str) -> None:
        """See AsyncClient.kick_subscriber."""
        client, portal = self._open()
        portal.run(client.kick_subscriber(id))

    def kick_subject(self, subject: str) -> None:
        """See AsyncClient.kick_subject."""
        client, portal = self._open()
        portal.run(client.kick_subject(subject))

    def kick_token(self, token_id: str) -> None:
        """See AsyncClient.kick_token."""
        client, portal = self._open()
        portal.run(client.kick_token(token_id))

    def ticket(self) -> Ticket:
        """See AsyncClient.ticket."""
        client, portal = self._open()
        return portal.run(client.ticket())

    def tail(
        self,
        source: str,
        *,
        lines: int = 10,
        after: str | None = None,
        state_file: str | Path | None = None,
    ) -> FollowedItems[LogLine | LogNote]:
        """See AsyncClient.tail."""
        client, portal = self._open()
        stream = client.tail(source, lines=lines, after=after, state_file=state_file)
        return FollowedItems(portal, stream)

    def last_lines(self, source: str, lines: int = 10) -> Items[LogLine | LogNote]:
        """See AsyncClient.last_lines."""
        client, portal = self._open()
        return Items(portal, client.last_lines(source, lines))

    def log_sources(self) -> list[str]:
        """See AsyncClient.log_sources."""
        client, portal = self._open()
        return portal.run(client.log_sources())

    def download(
        self,
        file: str,
        to: str | Path,
        *,
        connections: int = 4,
        sha256: str | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Downloaded:
        """See AsyncClient.download. `progress` is called in a thread of the client."""
        client, portal = self._open()
        return portal.run(
            client.download(file, to, connections=connections, sha256=sha256, progress=progress)
        )

    def files(self, prefix: str = "") -> Items[dict[str, Any]]:
        """See AsyncClient.files."""
        client, portal = self._open()
        return Items(portal, client.files(prefix))

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
    ) -> RowItems:
        """See AsyncClient.records. `progress` is called in a thread of the client."""
        client, portal = self._open()
        rows = client.records(
            dataset,
            columns=columns,
            where=where,
            after=after,
            cursor=cursor,
            limit=limit,
            descending=descending,
            snapshot=snapshot,
            progress=progress,
        )
        return RowItems(portal, rows)

    def chat(self, message: str) -> AnswerItems:
        """See AsyncClient.chat."""
        client, portal = self._open()
        return AnswerItems(portal, client.chat(message))

    def rejoin(self, generation_id: str) -> AnswerItems:
        """See AsyncClient.rejoin."""
        client, portal = self._open()
        return AnswerItems(portal, client.rejoin(generation_id))

    def cancel(self, generation_id: str) -> None:
        """See AsyncClient.cancel."""
        client, portal = self._open()
        portal.run(client.cancel(generation_id))

    def _open(self) -> tuple[AsyncClient, Portal]:
        """Those of this process: a thread does not outlive a fork."""
        with self._lock:
            if self._process != os.getpid():
                self._portal = Portal()
                self._client = AsyncClient(
                    self._url, token=self._token, timeout=self._timeout, patience=self._patience
                )
                self._process = os.getpid()
                # One that is forgotten, or open at the exit, ends too.
                self._end = finalize(self, _end, self._process, self._portal, self._client)
            return self._client, self._portal


def _end(process: int, portal: Portal, client: AsyncClient) -> None:
    # In a process that was forked since, the loop has no thread.
    if process == os.getpid():
        portal.end(client.close())
