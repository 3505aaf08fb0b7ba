"""Puts the chat service together: `app` alone, `service` as a part of standalone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from eddyline.service.app import Context, Service, module_app
from eddyline.service.app import create_app as create_suite
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


def create_app(settings: ChatSettings | None = None) -> FastAPI:
    settings = settings or ChatSettings.read()
    context = Context.from_settings(settings)
    return create_suite(context, [service(context, settings)], "Eddyline chat")


__getattr__ = module_app(create_app)
