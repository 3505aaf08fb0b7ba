"""Puts the logs service together: `uvicorn logs.app:app`, or `service` as a part of standalone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from logs import routes
from logs.demo import demo_log
from logs.settings import LogsSettings
from logs.tails import Tails
from streaming.app import Context, Service, module_app
from streaming.app import create_app as create_suite
from streaming.broadcast import Broadcast
from streaming.journal import MemoryJournal
from streaming.metrics import StreamMetrics


def service(context: Context, settings: LogsSettings) -> Service:
    journal = MemoryJournal(settings.journal_bytes, settings.journal_age)
    broadcast = Broadcast(journal, StreamMetrics("logs", "broadcast"), context)
    tails = Tails(journal, settings)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(broadcast.run())
            await stack.enter_async_context(tails.run())
            if settings.demo is not None:
                await stack.enter_async_context(demo_log(settings.demo))
            yield

    return Service("logs", routes.router(context, settings, broadcast, tails), lifespan)


def create_app(settings: LogsSettings | None = None) -> FastAPI:
    settings = settings or LogsSettings.read()
    context = Context.of(settings)
    return create_suite(context, [service(context, settings)], "Millrace logs")


__getattr__ = module_app(create_app)
