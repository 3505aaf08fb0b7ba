"""The events service: a hub on a journal, read as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from events.hub import Hub
from events.routes import router
from events.settings import EventsSettings
from events.state import MemoryState
from events.ticker import tick
from streaming.app import Context, Service, module_app
from streaming.app import create_app as create
from streaming.broadcast import Broadcast
from streaming.errors import SettingsError
from streaming.journal import MemoryJournal
from streaming.metrics import StreamMetrics


def service(context: Context, settings: EventsSettings) -> Service:
    if settings.workers > 1:
        raise SettingsError(
            f"MILLRACE_WORKERS={settings.workers}: the journal of events is in memory, and what one"
            " worker takes no other would deliver: run events with 1"
        )
    journal = MemoryJournal(settings.journal_bytes, settings.journal_age)
    broadcast = Broadcast(journal, StreamMetrics("events", "broadcast"), context)
    hub = Hub(context, settings, journal, broadcast, MemoryState(), journal)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with broadcast.run():
            ticker = asyncio.create_task(tick(journal, context.drain)) if settings.demo else None
            yield
            if ticker is not None:
                ticker.cancel()

    return Service("events", router(hub), lifespan)


def create_app(settings: EventsSettings | None = None) -> FastAPI:
    settings = settings or EventsSettings.read()
    context = Context.of(settings)
    return create(context, [service(context, settings)], "Millrace events")


__getattr__ = module_app(create_app)
