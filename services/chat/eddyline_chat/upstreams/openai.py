"""An upstream that is a server with OpenAI's API: `POST {base}/chat/completions`, streamed.

Nothing of the upstream's texts is passed on: an error names its status and code, since its words
can quote the key.
"""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import cast

import anyio
import httpx

from eddyline.errors import UpstreamError
from eddyline.wire import sse
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Message, Upstreams
from eddyline_chat.upstreams.completion import Completion
from eddyline_chat.upstreams.connections import Connections
from eddyline_chat.upstreams.delta import failed, load
from eddyline_chat.upstreams.refusal import refusal

_log = logging.getLogger(__name__)

#: For the header `X-Chat-Upstream`; the name of the model is the operator's to tell.
LABEL = "openai"

#: Bytes of an event, or of comments without one.
_EVENT_LIMIT = 1024 * 1024

#: Seconds: for `[DONE]` to come after the finish reason; for the body to end after `[DONE]`, so
#: that the connection can be used again.
_AFTER_FINISH = 1.0
_LINGER = 0.05

#: Redirects that are followed: to the same origin, and by a status that keeps the method.
_REDIRECTS = 3
_SAME_METHOD = frozenset((307, 308))


def client(settings: ChatSettings) -> httpx.AsyncClient:
    """Pooled connections to the upstream; admission limits them, not the pool. `Patience` limits
    the times.
    """
    headers = {"Accept": sse.EVENT_STREAM, "Accept-Encoding": "identity"}
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    return httpx.AsyncClient(
        base_url=settings.upstream,
        headers=headers,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        timeout=httpx.Timeout(None, connect=settings.connect_timeout),
    )


class Patience:
    """Seconds that the upstream may still take for its next token.

    Only waiting for the upstream uses them up: a slow client does not. Comments leave them as they
    are: otherwise comments alone would keep a request for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.limit = self._left = seconds

    def begin(self, seconds: float) -> None:
        """Gives the upstream `seconds` from now on."""
        self.limit = self._left = seconds

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Raises TimeoutError inside when they are used up."""
        began = time.monotonic()
        try:
            with anyio.fail_after(max(0.0, self._left)):
                yield
        finally:
            self._left -= time.monotonic() - began


class OpenAI:
    """Asks for a streamed completion and hands its tokens on; closing the generator closes the
    connection.

    No wait here ends by asyncio's cancellation, only by scopes of anyio: httpcore closes a
    connection under a shield that holds these alone.
    """

    def __init__(
        self, client: httpx.AsyncClient, settings: ChatSettings, connections: Connections
    ) -> None:
        self._client = client
        self._settings = settings
        self._connections = connections

    async def complete(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        patience = Patience(self._settings.first_token_timeout)
        try:
            response = await self._open(messages, patience)
            try:
                async with aclosing(self._tokens(response, patience)) as tokens:
                    async for token in tokens:
                        yield token
            finally:
                await response.aclose()
        except (httpx.TimeoutException, TimeoutError) as error:
            raise _silent(error, patience.limit) from error
        except httpx.HTTPError as error:
            _log.warning("upstream failed: %r", error)
            raise UpstreamError(_how(error)) from error
        finally:
            self._connections.measure()

    async def _open(self, messages: Sequence[Message], patience: Patience) -> httpx.Response:
        """A response with status 200; any other one is an error."""
        url = httpx.URL("chat/completions")
        for _ in range(_REDIRECTS + 1):
            response = await self._ask(url, messages, patience)
            if response.status_code == 200:
                return response
            try:
                elsewhere = _same_origin(response)
                if elsewhere is None:
                    raise await refusal(response)
                url = elsewhere
            finally:
                await response.aclose()
        raise UpstreamError(f"the upstream answered by more than {_REDIRECTS} redirects")

    async def _ask(
        self, url: httpx.URL, messages: Sequence[Message], patience: Patience
    ) -> httpx.Response:
        question = {"model": self._settings.model, "messages": list(messages), "stream": True}
        extensions = {"trace": self._connections.trace}
        request = self._client.build_request("POST", url, json=question, extensions=extensions)
        with patience.waiting():
            return await self._client.send(request, stream=True)

    async def _tokens(
        self, response: httpx.Response, patience: Patience
    ) -> AsyncGenerator[str, None]:
        settings = self._settings
        completion = Completion(settings.finish_reasons, done_alone=settings.done_alone)
        async with aclosing(_events(response, patience)) as events:
            while (event := await _next(events, completion)) is not None:
                finished = bool(completion.finish)
                token = completion.take(event)
                if completion.done:
                    await _end(events)
                    break
                if token:
                    yield token
                if completion.finish and not finished:
                    patience.begin(_AFTER_FINISH)
                elif completion.has_text and not finished:
                    patience.begin(settings.idle_timeout)
                elif completion.reasons and not finished:
                    patience.begin(settings.first_token_timeout)
        if rest := completion.rest():
            yield rest
        completion.check()


@asynccontextmanager
async def upstreams(settings: ChatSettings) -> AsyncIterator[Upstreams]:
    """One upstream for all routes, as long as its connections are open."""
    connections = Connections()
    async with client(settings) as pool:
        upstream = OpenAI(pool, settings, connections)
        yield Upstreams(LABEL, words=upstream, tokens=upstream, whole=upstream)
    connections.measure()


async def _events(response: httpx.Response, patience: Patience) -> AsyncGenerator[sse.Event, None]:
    parser = sse.Parser()
    pending = 0
    async with aclosing(_chunks(response, patience)) as chunks:
        async for chunk in chunks:
            pending += len(chunk)
            for event in parser.feed(chunk):
                if parser.error is not None:
                    break
                pending = 0
                yield event
            if parser.error is not None:
                failed(load(parser.error) if parser.error.startswith("{") else None)
            if pending > _EVENT_LIMIT:
                raise UpstreamError(f"the upstream sent {pending} bytes without an event")


async def _chunks(response: httpx.Response, patience: Patience) -> AsyncGenerator[bytes, None]:
    # httpx promises an iterator, and makes generators.
    body = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
    async with aclosing(body) as chunks:
        while True:
            with patience.waiting():
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk


async def _next(
    events: AsyncGenerator[sse.Event, None], completion: Completion
) -> sse.Event | None:
    try:
        return await anext(events, None)
    except (TimeoutError, httpx.HTTPError):
        # The answer is there; only its `[DONE]` is not.
        if completion.finish:
            return None
        raise


async def _end(events: AsyncGenerator[sse.Event, None]) -> None:
    with suppress(TimeoutError, httpx.HTTPError, UpstreamError), anyio.move_on_after(_LINGER):
        async for _ in events:
            pass


def _same_origin(response: httpx.Response) -> httpx.URL | None:
    """The URL of a redirect that may be followed with the question and the key."""
    if response.status_code not in _SAME_METHOD or not response.has_redirect_location:
        return None
    try:
        url = response.url.join(response.headers["location"])
    except httpx.InvalidURL:
        return None
    here = response.url
    same = (url.scheme, url.host, url.port) == (here.scheme, here.host, here.port)
    return url if same else None


def _silent(error: Exception, seconds: float) -> UpstreamError:
    if isinstance(error, httpx.ConnectTimeout):
        return UpstreamError("the upstream cannot be reached: it took too long to connect")
    return UpstreamError(f"the upstream sent no token for {seconds:g} seconds")


def _how(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "the upstream cannot be reached"
    return "the connection to the upstream broke"
