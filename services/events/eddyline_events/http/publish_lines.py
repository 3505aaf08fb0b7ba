"""NDJSON in, a result for each line out, while both are on their way.

The body is never whole in memory: no more of it is read while the client does not take results, or
the journal no events.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence

from starlette.types import Message, Receive, Scope, Send

from eddyline.auth.principal import Principal
from eddyline.connection.base import StreamClosed
from eddyline.errors import (
    BadRequest,
    Forbidden,
    StreamingError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from eddyline.journal.base import NewEntry, Receipt
from eddyline.responses.body import Body, BodyResponse
from eddyline.service.admission import StreamContext
from eddyline.telemetry import metrics
from eddyline.wire import ndjson
from eddyline.wire.sse import STREAM_HEADERS
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.publishing.publication import entry_of, parse
from eddyline_events.hub.publishing.publisher import Grants, Publisher, conflict

#: Lines that are appended together, so that they share the cost of one call of the journal.
GROUP_LINES = 512


class Lines:
    """Cuts a body into lines. It keeps little more than `limit` bytes of a longer line."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()[: self._limit + 1]
        return lines

    def end(self) -> list[bytes]:
        """The last line may have no line end."""
        return [self._rest] if self._rest else []


class LineGroups:
    """Publishes groups of lines, and makes their results."""

    def __init__(
        self, hub: Hub, publisher: Publisher, principal: Principal, key: str | None, minimal: bool
    ) -> None:
        self._hub = hub
        self._publisher = publisher
        self._principal = principal
        self._grants = Grants(principal)
        self._key = key
        #: Only errors have a line (RFC 7240 section 4.2), and the end has a summary.
        self.minimal = minimal
        self._line = 0
        self._published = 0
        self._refused = 0

    async def results(self, lines: Sequence[bytes]) -> tuple[bytes, bool]:
        """The result lines of some lines, and whether the stream may go on."""
        first = self._line + 1
        checked = [self._check(line) for line in lines]
        entries = [entry for entry in checked if isinstance(entry, NewEntry)]
        if not entries:
            return b"".join([line for line in checked if isinstance(line, bytes)]), True
        try:
            self._admit()
            await self._wait_for_rate([entry.topic for entry in entries])
            receipts = await self._publisher.append(entries)
        except (Unavailable, Unauthorized) as error:
            # Refusals of earlier lines are told as ever; nobody knows which of the rest are in the
            # journal.
            at = next(n for n, entry in enumerate(checked) if isinstance(entry, NewEntry))
            said = [line for line in checked[:at] if isinstance(line, bytes)]
            return b"".join(said) + self._error(error, first + at), False
        return b"".join(self._lines(checked, iter(receipts), first)), True

    def summary(self) -> bytes:
        """The last line where only errors have one of their own."""
        if not self.minimal:
            return b""
        return ndjson.encode({"published": self._published, "refused": self._refused})

    def stopping(self) -> bytes:
        return self._error(
            Unavailable("this process is stopping: send the rest to another"), self._line + 1
        )

    def _check(self, line: bytes) -> NewEntry | bytes:
        """An entry, the line of an error, or b"" for a blank line."""
        self._line += 1
        try:
            if len(line) > self._hub.settings.max_event_bytes:
                raise TooLarge(
                    f"an event may have {self._hub.settings.max_event_bytes} bytes"
                    " (EVENTS_MAX_EVENT_BYTES)"
                )
            key = None if self._key is None else f"{self._key}/{self._line - 1}"
            entry = entry_of(parse(line), key)
            self._grants.require(entry.topic)
            self._hub.namespaces.check(entry)
        except (BadRequest, Forbidden, TooLarge) as error:
            return self._error(error, self._line) if line.strip() else b""
        return entry

    def _admit(self) -> None:
        self._hub.admit_publisher()
        expires = self._principal.expires
        if expires is not None and expires <= time.time():
            raise Unauthorized("the token has expired")

    async def _wait_for_rate(self, topics: Sequence[str]) -> None:
        # A publisher that streams is slowed down, not refused: its connection is the queue.
        await self._publisher.rate.wait(self._principal.identity, topics)

    def _lines(
        self, checked: list[NewEntry | bytes], receipts: Iterator[Receipt], first: int
    ) -> Iterator[bytes]:
        for number, entry in enumerate(checked, first):
            if isinstance(entry, bytes):
                yield entry
                continue
            receipt = next(receipts)
            if error := conflict(receipt, f"line {number}"):
                yield self._error(error, number)
                continue
            self._published += 1
            if self.minimal:
                continue
            # Ids are the hub's own or SAFE_ID: nothing in them needs an escape.
            if receipt.outcome == "appended":
                yield b'{"id":"%b"}\n' % receipt.id.encode()
            else:
                yield b'{"id":"%b","replayed":true}\n' % receipt.id.encode()

    def _error(self, error: StreamingError, line: int) -> bytes:
        self._refused += 1
        if not isinstance(error, Unavailable):
            metrics.published["refused"].inc()
        fields = {"status": error.status, "title": error.title, "detail": error.detail}
        return ndjson.encode({"error": fields, "line": line})


class LinePublisher(BodyResponse):
    """The answer to an NDJSON body: 200, and its results as they are known."""

    def __init__(self, hub: Hub, context: StreamContext, groups: LineGroups) -> None:
        self._groups = groups
        self._lines = Lines(hub.settings.max_event_bytes)
        rate = hub.settings.publish_rate
        # At most the lines of one second, so that a publisher gets results each second.
        self._group = min(GROUP_LINES, max(1, int(rate))) if rate else GROUP_LINES
        self._stopping = asyncio.Event()
        self._read_all = asyncio.Event()
        applied = {"Preference-Applied": "return=minimal"} if groups.minimal else {}
        super().__init__(context, media_type=ndjson.NDJSON, headers=STREAM_HEADERS | applied)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self.context.drain.on_begin(self, self._stop_within)

        async def after_the_body() -> Message:
            # Two may not wait for the same client at once: it leaves in `_body`, or after it.
            await self._read_all.wait()
            return await receive()

        try:
            await super().__call__(scope, after_the_body, send)
        finally:
            self.context.drain.forget(self)

    async def send_body(self, body: Body) -> None:
        # The head follows the first bytes: a client that waits for "100 Continue" gets it first.
        lines = await self._more()
        await body.begin()
        going_on = True
        while lines is not None and going_on:
            for start in range(0, len(lines), self._group):
                group = lines[start : start + self._group]
                results, going_on = await self._groups.results(group)
                await body.write(results)
                if not going_on:
                    break
            lines = await self._more() if going_on else None
        stopping = self._groups.stopping() if going_on and not self._read_all.is_set() else b""
        await body.end(stopping + self._groups.summary())

    async def _more(self) -> list[bytes] | None:
        """The next lines; None at the end of the body, or when the process stops."""
        if self._read_all.is_set():
            return None
        message = await self._receive_or_stop()
        if message is None:
            return None
        if message["type"] == "http.disconnect":
            # A line that was cut off is no line.
            raise StreamClosed("the publisher left")
        lines = self._lines.feed(message.get("body", b""))
        if not message.get("more_body", False):
            self._read_all.set()
            lines += self._lines.end()
        return lines

    async def _receive_or_stop(self) -> Message | None:
        receiving = asyncio.ensure_future(self._receive())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({receiving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() and not stopping.done() else None
        finally:
            receiving.cancel()
            stopping.cancel()

    def _stop_within(self, window: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(random.uniform(0, window), self._stopping.set)
