"""Puts the chat service together: `uvicorn chat.app:app`, or `service` as a part of standalone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from chat import demo, openai, routes
from chat.settings import DEMO, ChatSettings
from chat.upstream import Upstreams
from streaming.app import Context, Service, module_app
from streaming.app import create_app as create_suite


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
    context = Context.of(settings)
    return create_suite(context, [service(context, settings)], "Millrace chat")


__getattr__ = module_app(create_app)
