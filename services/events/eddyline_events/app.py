"""The events service: a hub on a journal, read as server-sent events."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from eddyline.broadcast.broadcast import Broadcast
from eddyline.errors import SettingsError
from eddyline.journal.memory import MemoryJournal
from eddyline.journal.state import MemoryState
from eddyline.redis.journal import RedisJournal
from eddyline.redis.state import RedisState
from eddyline.service.app import Context, Service, module_app
from eddyline.service.app import create_app as create
from eddyline.tasks import background
from eddyline.telemetry.metrics import BusMetrics, StreamMetrics
from eddyline_events.http import pages
from eddyline_events.http.events import router
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.kick import Kicks
from eddyline_events.hub.presence import Presence
from eddyline_events.mercure import routes as mercure
from eddyline_events.mercure.subscriptions import Subscriptions
from eddyline_events.settings import EventsSettings
from eddyline_events.ticker import tick


def service(context: Context, settings: EventsSettings) -> Service:
    journal = _journal(settings)
    shared = isinstance(journal, RedisJournal)
    broadcast = Broadcast(
        journal, StreamMetrics("events", "broadcast"), context.settings.policy, context.drain
    )
    redis = RedisState(journal.link, journal.prefix) if isinstance(journal, RedisJournal) else None
    state = redis or MemoryState()
    presence = Presence(state, shared, settings.presence_grace)
    kicks = Kicks(state, journal, presence, settings.kick_seconds)
    broadcast.on_signal.append(kicks.on_signal)
    hub = Hub(context, settings, journal, broadcast, state, journal, presence, kicks, shared)

    subscriptions = Subscriptions(hub.state, journal) if settings.mercure_subscriptions else None
    routes = router(hub)
    routes.include_router(mercure.router(hub, subscriptions))
    routes.include_router(pages.router())

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if isinstance(journal, RedisJournal):
                await stack.enter_async_context(journal)
            if redis is not None:
                await stack.enter_async_context(redis.run())
            await stack.enter_async_context(presence.run())
            await stack.enter_async_context(kicks.run())
            if subscriptions is not None:
                await stack.enter_async_context(subscriptions.run())
            await stack.enter_async_context(broadcast.run())
            if settings.demo:
                await stack.enter_async_context(background(tick(journal, hub.state, context.drain)))
            yield

    def ready() -> str | None:
        return journal.fault if isinstance(journal, RedisJournal) else None

    return Service("events", routes, lifespan, ready)


def _journal(settings: EventsSettings) -> MemoryJournal | RedisJournal:
    if settings.redis_url is not None:
        return RedisJournal(
            settings.redis_url.get_secret_value(),
            settings.hub,
            max_entries=settings.journal_entries,
            max_bytes=settings.journal_bytes,
            max_age=settings.journal_age,
            key_age=settings.key_age,
            meter=BusMetrics(settings.hub),
        )
    if settings.workers > 1:
        raise SettingsError(
            f"EDDYLINE_WORKERS={settings.workers}: the journal of events is in memory, and what one"
            " worker takes no other would deliver: set EVENTS_REDIS_URL, or run events with 1"
        )
    return MemoryJournal(settings.journal_bytes, settings.journal_age, settings.key_age)


def create_app(settings: EventsSettings | None = None) -> FastAPI:
    settings = settings or EventsSettings.read()
    context = Context.from_settings(settings)
    return create(context, [service(context, settings)], "Eddyline events")


__getattr__ = module_app(create_app)
