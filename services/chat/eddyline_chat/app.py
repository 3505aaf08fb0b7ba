"""Puts the chat service together: `app` alone, `service` as a part of standalone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Example, Registration
from eddyline.telemetry.metrics import upstream_connections
from eddyline_chat.http.routes import ChatApi
from eddyline_chat.settings import DEMO, ChatSettings
from eddyline_chat.upstreams import demo, openai
from eddyline_chat.v1.errors import OpenAIErrors
from eddyline_chat.v1.routes import CompletionsApi


def service(context: Context, settings: ChatSettings) -> Service:
    api = ChatApi(context, settings)
    completions = CompletionsApi(context, settings)
    routes = APIRouter()
    routes.include_router(api.routes())
    routes.include_router(completions.routes())
    upstream_connections.labels("chat").set(0)  # the demo has none: that is a number, too
    upstreams = demo.upstreams if settings.upstream == DEMO else openai.upstreams

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with upstreams(settings) as made:
            api.upstreams = completions.upstreams = made
            yield

    return Service("chat", routes, lifespan, errors=OpenAIErrors())


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
