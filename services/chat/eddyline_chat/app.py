"""Puts the chat service together: `app` alone, `service` as a part of standalone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Example, Registration
from eddyline_chat.http import routes
from eddyline_chat.settings import DEMO, ChatSettings
from eddyline_chat.upstreams import demo, openai
from eddyline_chat.upstreams.base import Upstreams


def service(context: Context, settings: ChatSettings) -> Service:
    running: list[Upstreams] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if settings.upstream == DEMO:
            running[:] = [demo.upstreams()]
            yield
        else:
            async with openai.client(settings) as client:
                running[:] = [openai.upstreams(client, settings)]
                yield

    return Service("chat", routes.router(context, settings, lambda: running[0]), lifespan)


SERVICE = Registration(
    "chat",
    ChatSettings,
    service,
    path="/chat",
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
    ),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
