"""Puts the logs service together: `app` alone, `service` as a part of standalone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from eddyline.broadcast.broadcast import Broadcast
from eddyline.journal.memory import MemoryJournal
from eddyline.service.app import Context, Service, module_app
from eddyline.service.app import create_app as create_suite
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_logs.demo import demo_log
from eddyline_logs.http import routes
from eddyline_logs.reading.tails import Tails
from eddyline_logs.settings import LogsSettings


def service(context: Context, settings: LogsSettings) -> Service:
    journal = MemoryJournal(settings.journal_bytes, settings.journal_age)
    broadcast = Broadcast(
        journal, StreamMetrics("logs", "broadcast"), context.settings.policy, context.drain
    )
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
    context = Context.from_settings(settings)
    return create_suite(context, [service(context, settings)], "Eddyline logs")


__getattr__ = module_app(create_app)
