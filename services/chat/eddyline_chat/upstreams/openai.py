"""An upstream that is a server with OpenAI's API: `POST {base}/chat/completions`, streamed.

Nothing of the upstream's texts is passed on: an error names its status and code, since its words
can quote the key.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

import httpx
import orjson

from eddyline.errors import StreamingError, UpstreamError
from eddyline.wire import sse
from eddyline.wire.retry_after import retry_after
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Message, UpstreamBusy, UpstreamLimited, Upstreams
from eddyline_chat.upstreams.delta import Delta, quoted

_log = logging.getLogger(__name__)

#: For the header `X-Chat-Upstream`; the name of the model is the operator's to tell.
LABEL = "openai"

#: Bytes: of an event, or of comments without one; and of an error's body, as far as it is looked
#: at.
_EVENT_LIMIT = 1024 * 1024
_ERROR_LIMIT = 64 * 1024

#: Seconds: for the body to end after `[DONE]`, so that the connection can be used again; and to
#: read an error's body.
_LINGER = 0.05
_ERROR_WAIT = 2.0

#: Seconds until the client may come back: where the upstream names no time, and at most.
_RETRY_AFTER = 5.0
_RETRY_AFTER_MOST = 3600.0


def client(settings: ChatSettings) -> httpx.AsyncClient:
    """Pooled connections to the upstream; admission limits them, not the pool."""
    headers = {"Accept": sse.EVENT_STREAM, "Accept-Encoding": "identity"}
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    return httpx.AsyncClient(
        base_url=settings.upstream,
        headers=headers,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        timeout=httpx.Timeout(settings.idle_timeout, connect=settings.connect_timeout),
    )


class OpenAI:
    """Asks for a streamed completion and hands its tokens on; closing the generator closes the
    connection.
    """

    def __init__(self, client: httpx.AsyncClient, model: str, idle_timeout: float) -> None:
        self._client = client
        self._model = model
        self._idle_timeout = idle_timeout

    async def complete(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        question = {"model": self._model, "messages": list(messages), "stream": True}
        try:
            async with self._client.stream("POST", "chat/completions", json=question) as response:
                if response.status_code != 200:
                    raise await _refusal(response)
                async with aclosing(self._tokens(response)) as tokens:
                    async for token in tokens:
                        yield token
        except (httpx.TimeoutException, TimeoutError) as error:
            raise _silent(error, self._idle_timeout) from error
        except httpx.HTTPError as error:
            _log.warning("upstream failed: %r", error)
            raise UpstreamError(_how(error)) from error

    async def _tokens(self, response: httpx.Response) -> AsyncGenerator[str, None]:
        finished = False
        async with aclosing(_events(response)) as events:
            while (event := await self._next(events)) is not None:
                if event.data == "[DONE]":
                    await _end(events)
                    return
                delta = Delta.parse(event.data)
                finished = finished or delta.finished
                if delta.text:
                    yield delta.text
        if not finished:
            raise UpstreamError("the upstream's answer ended before it was finished")

    async def _next(self, events: AsyncGenerator[sse.Event, None]) -> sse.Event | None:
        # httpx's own timeout starts anew with every byte: comments alone would keep a request for
        # ever.
        async with asyncio.timeout(self._idle_timeout):
            return await anext(events, None)


@asynccontextmanager
async def upstreams(settings: ChatSettings) -> AsyncIterator[Upstreams]:
    """One upstream for all routes, as long as its connections are open."""
    async with client(settings) as connections:
        upstream = OpenAI(connections, settings.model, settings.idle_timeout)
        yield Upstreams(LABEL, words=upstream, tokens=upstream, whole=upstream)


async def _events(response: httpx.Response) -> AsyncGenerator[sse.Event, None]:
    parser = sse.Parser()
    pending = 0
    async for chunk in response.aiter_bytes():
        pending += len(chunk)
        for event in parser.feed(chunk):
            pending = 0
            yield event
        if pending > _EVENT_LIMIT:
            raise UpstreamError(f"the upstream sent {pending} bytes without an event")


async def _end(events: AsyncGenerator[sse.Event, None]) -> None:
    with suppress(TimeoutError, httpx.HTTPError, UpstreamError):
        async with asyncio.timeout(_LINGER):
            async for _ in events:
                pass


async def _refusal(response: httpx.Response) -> StreamingError:
    text = f"the upstream answered {response.status_code}{quoted(await _error_body(response))}"
    _log.warning(text)
    if response.status_code == 429:
        return UpstreamLimited(text, _retry_after(response))
    if response.status_code == 503:
        return UpstreamBusy(text, _retry_after(response))
    return UpstreamError(text)


async def _error_body(response: httpx.Response) -> object:
    body = b""
    with suppress(TimeoutError, httpx.HTTPError, ValueError):
        async with asyncio.timeout(_ERROR_WAIT):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _ERROR_LIMIT:
                    return None
        return orjson.loads(body)
    return None


def _retry_after(response: httpx.Response) -> float:
    seconds = retry_after(response.headers.get("retry-after", ""))
    return _RETRY_AFTER if seconds is None else min(seconds, _RETRY_AFTER_MOST)


def _silent(error: Exception, idle_timeout: float) -> UpstreamError:
    if isinstance(error, httpx.ConnectTimeout):
        return UpstreamError("the upstream cannot be reached: it took too long to connect")
    return UpstreamError(f"the upstream sent nothing for {idle_timeout:g} seconds")


def _how(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "the upstream cannot be reached"
    return "the connection to the upstream broke"
