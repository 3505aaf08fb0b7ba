"""Puts the chat service together: `app` alone, `service` as a part of standalone."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from fastapi import APIRouter

from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Example, Registration
from eddyline.store.stores import store_from_url
from eddyline.telemetry.metrics import StreamMetrics, upstream_connections
from eddyline_chat.generations import records
from eddyline_chat.generations.generations import Generations
from eddyline_chat.http.answers import Answers
from eddyline_chat.http.routes import ChatApi
from eddyline_chat.responses.routes import ResponsesApi
from eddyline_chat.settings import DEMO, NO_STORE, ChatSettings
from eddyline_chat.ui.routes import UiApi
from eddyline_chat.upstreams import demo, openai
from eddyline_chat.v1.errors import OpenAIErrors
from eddyline_chat.v1.generations import GenerationsApi
from eddyline_chat.v1.routes import CompletionsApi

_log = logging.getLogger(__name__)


def service(context: Context, settings: ChatSettings) -> Service:
    generations = _generations(context, settings)
    answers = Answers(context, settings, generations)
    routes = APIRouter()
    routes.include_router(ChatApi(answers, settings).routes())
    routes.include_router(CompletionsApi(answers, settings).routes())
    routes.include_router(GenerationsApi(answers).routes())
    routes.include_router(ResponsesApi(answers, settings).routes())
    routes.include_router(UiApi(answers, settings).routes())
    upstream_connections.labels("chat").set(0)  # the demo has none: that is a number, too
    upstreams = demo.upstreams if settings.upstream == DEMO else openai.upstreams

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        running = nullcontext() if generations is None else generations.run()
        async with upstreams(settings) as answers.upstreams, running:
            yield

    return Service("chat", routes, lifespan, errors=OpenAIErrors())


def _generations(context: Context, settings: ChatSettings) -> Generations | None:
    url = settings.store.get_secret_value()
    if url == NO_STORE:
        return None
    if settings.workers > 1 and url.partition("://")[0] in ("memory", "file"):
        _log.warning(
            "EDDYLINE_WORKERS=%d: with this CHAT_STORE an answer can be rejoined in the worker that"
            " makes it alone: redis://… is for all of them",
            settings.workers,
        )
    store, meter = store_from_url(url), StreamMetrics("chat", "broadcast")
    feeds = StreamFeeds(store, records.entry, meter, context.settings.policy, context.drain)
    return Generations(store, feeds, context.drain, settings)


SERVICE = Registration(
    "chat",
    ChatSettings,
    service,
    path="/chat",
    dashboard=("Streams", "Upstreams", "Processes"),
    examples=(
        Example("Text, word by word", "curl -N -X POST '{url}/chat?prompt=Hello'", in_banner=True),
        Example(
            "Tokens as events",
            "curl -N {url}/chat/stream -H 'Content-Type: application/json'"
            """ -d '{"message": "Hello"}'""",
        ),
        Example(
            "The whole answer",
            "curl {url}/chat/sync -H 'Content-Type: application/json'"
            """ -d '{"message": "Hello"}'""",
        ),
        Example("OpenAI's API", "curl {url}/v1/models"),
    ),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
