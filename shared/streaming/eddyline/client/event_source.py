"""A client of server-sent events that does not give up: the twin of events/static/eddyline.js.

    async with EventSource("https://hub.example/events?topic=orders") as events:
        async for event in events:
            ...

A stream that drops, ends, or is silent for three heartbeats is made again and resumed by
`Last-Event-ID`: nothing lost, nothing twice. A gap that can't be filled comes as an event named
`eddyline.reset`, whose data is JSON with `reason` and `oldest`.
"""

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Self

import httpx

from eddyline.client.errors import PASSING, Refused, detail_of
from eddyline.tasks import Backoff
from eddyline.wire.retry_after import retry_after
from eddyline.wire.sse import EVENT_STREAM, Event, Parser

#: A text, or a function that gives one at each connect.
Given = str | Callable[[], str | Awaitable[str]]

#: Seconds: no server may send a client away for longer.
LONGEST_WAIT = 3600.0

#: `retry:` holds for all topics of a source, and may be the word of a publisher of one. Seconds.
LONGEST_RETRY = 60.0

#: Seconds after which a stream was a stream, though it brought nothing.
PROVEN = 10.0

_log = logging.getLogger(__name__)


class EventSource:
    """Events of `url`, until 204, which ends them, or any other final answer, which is Refused.

    Times are in seconds: `timeout` is the silence after which a stream is given up, `max_delay` the
    longest wait between attempts, unless the server asks for more. `ticket`: sent as `?ticket=`,
    good for one connect. `client`: yours, and yours to close.
    """

    def __init__(
        self,
        url: str,
        *,
        last_event_id: str = "",
        token: Given | None = None,
        ticket: Given | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 45.0,
        max_delay: float = 30.0,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self._token = token
        self._ticket = ticket
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._client = client or httpx.AsyncClient()
        self._owns_client = client is None
        self._taken = last_event_id
        self._parser = Parser(last_event_id)
        self._events: deque[Event] = deque()
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._opened_at = 0.0
        self._moved = False
        # Full jitter, on top of the server's wish: clients sent away together return apart.
        self._backoff = Backoff(1.0, max_delay, (0.0, 1.0))
        self._retry = 0.0
        self._ended = False

    @property
    def last_event_id(self) -> str:
        """Where another EventSource would go on after the last event that was taken here."""
        return self._taken

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            await self._receive()
        event = self._events.popleft()
        self._taken = event.id
        return event

    async def close(self) -> None:
        self._ended = True
        await self._hang_up()
        if self._owns_client:
            await self._client.aclose()

    async def _receive(self) -> None:
        """Connects, or takes the next bytes, or waits: one step towards the next event."""
        try:
            if self._chunks is None:
                await self._connect()
            else:
                self._take(await anext(self._chunks))
        except StopAsyncIteration:
            await self._pause("the server ended the stream")
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError):
            raise  # no server is at fault
        except httpx.RequestError as error:
            await self._pause(str(error) or type(error).__name__)

    def _take(self, chunk: bytes) -> None:
        before = self._parser.last_event_id
        self._events.extend(self._parser.feed(chunk))
        self._moved |= bool(self._events) or self._parser.last_event_id != before
        if not self._events:
            self._taken = self._parser.last_event_id

    async def _connect(self) -> None:
        self._moved = False
        self._opened_at = time.monotonic()
        # A block that was cut off comes again in full.
        self._parser = Parser(self._parser.last_event_id)
        request = await self._request()
        self._response = await self._client.send(request, stream=True, follow_redirects=True)
        if self._response.status_code == 204:
            self._ended = True
        elif self._response.status_code != 200:
            await self._refused(self._response)
        elif not self._response.headers.get("content-type", "").startswith(EVENT_STREAM):
            await self._pause(f"the answer is not {EVENT_STREAM}")
        else:
            self._chunks = self._response.aiter_bytes()

    async def _request(self) -> httpx.Request:
        headers: list[tuple[bytes, bytes]] = [(b"Accept", EVENT_STREAM.encode())]
        headers += [(name.encode(), value.encode()) for name, value in self._headers.items()]
        if self._parser.last_event_id:
            headers.append((b"Last-Event-ID", self._parser.last_event_id.encode()))
        url = self._url
        if self._token is not None:
            headers.append((b"Authorization", b"Bearer " + (await value_of(self._token)).encode()))
        if self._ticket is not None:
            url = url.copy_merge_params({"ticket": await value_of(self._ticket)})
        # One heartbeat in three may be late: httpx counts anew with each read.
        return self._client.build_request("GET", url, headers=headers, timeout=self._timeout)

    async def _refused(self, response: httpx.Response) -> None:
        """Waits, where that may help; raises Refused otherwise."""
        status = response.status_code
        detail = await detail_of(response)
        if 400 <= status < 500 and status not in PASSING:
            raise Refused(status, detail)
        await self._pause(detail, retry_after(response.headers.get("retry-after", "")) or 0.0)

    async def _pause(self, reason: str, asked_wait: float = 0.0) -> None:
        lasted = time.monotonic() - self._opened_at
        # A body that says nothing and ends is how a hub refuses, which must not come to a storm.
        proven = self._moved or (self._chunks is not None and lasted > PROVEN)
        await self._hang_up()
        if proven:
            self._backoff.reset()
        if self._parser.retry is not None:
            self._retry = min(LONGEST_RETRY, self._parser.retry / 1000)
        floor = min(LONGEST_WAIT, max(self._retry, asked_wait))
        delay = floor + self._backoff.next()
        _log.info("%s: %s; next attempt in %.1f s", self._url.copy_with(query=None), reason, delay)
        await self._wait(delay)

    async def _wait(self, seconds: float) -> None:
        """Tests have a clock of their own here."""
        await asyncio.sleep(seconds)

    async def _hang_up(self) -> None:
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            await response.aclose()


async def value_of(given: Given) -> str:
    value = given() if callable(given) else given
    return await value if inspect.isawaitable(value) else value
