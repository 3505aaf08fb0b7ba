"""An upstream that is a server with OpenAI's API: `POST {base}/chat/completions`.

Nothing of the upstream's texts is passed on: an error names its status and code, since its words
can quote the key.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from eddyline.telemetry.metrics import upstream_connections
from eddyline.wire import sse
from eddyline_chat.client.origin import Origin, path_of
from eddyline_chat.client.pool import Exchange, Pool
from eddyline_chat.openai.completion import Completion
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.asking import Asking
from eddyline_chat.upstreams.base import Question, Receiver, Upstreams

#: For the header `X-Chat-Upstream`.
LABEL = "openai"


class OpenAI:
    """Asks one server for one model, over a pool of connections. Admission limits the questions,
    not the pool.
    """

    def __init__(self, settings: ChatSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._url = settings.upstream.rstrip("/") + "/chat/completions"
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if settings.api_key is not None:
            self._headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"

    def ask(self, question: Question, receiver: Receiver) -> Asking:
        settings = self._settings
        stream = bool(question.body.get("stream", True))
        asked: dict[str, Any] = {"model": settings.model, "stream": stream, **question.body}
        if stream and settings.usage:
            options = asked.get("stream_options") or {}
            asked["stream_options"] = {**options, "include_usage": True}
        body = orjson.dumps(asked)
        accept = sse.EVENT_STREAM if stream else "application/json"
        headers = {"Accept": accept, **self._headers, **question.headers}

        def send(url: str, asking: Asking) -> Exchange:
            request = self._pool.origin.post(path_of(url), headers, body)
            return self._pool.send(request, asking)

        count = question.body.get("n")
        completion = Completion(
            settings.finish_reasons,
            count=count if isinstance(count, int) and count > 0 else 1,
            done_alone=settings.done_alone,
        )
        times = (settings.first_token_timeout, settings.idle_timeout)
        return Asking(self._url, send, receiver, completion, times, stream=stream)


def pool(settings: ChatSettings) -> Pool:
    """The connections to the server of the settings, which the gauge counts."""
    gauge = upstream_connections.labels("chat")
    return Pool(Origin.from_url(settings.upstream), settings.connect_timeout, gauge.set)


@asynccontextmanager
async def upstreams(settings: ChatSettings) -> AsyncIterator[Upstreams]:
    """One upstream for all routes, as long as its connections are open."""
    connections = pool(settings)
    upstream = OpenAI(settings, connections)
    try:
        yield Upstreams(LABEL, settings.model, upstream, upstream, upstream, upstream)
    finally:
        connections.close()
