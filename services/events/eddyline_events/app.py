"""The events service: a hub on a journal, read as server-sent events."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from eddyline.broadcast.broadcast import Broadcast
from eddyline.errors import SettingsError
from eddyline.journal.backends import backend_from_url
from eddyline.journal.base import Backend, Bounds
from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Demo, Example, Registration
from eddyline.tasks import background
from eddyline.telemetry.metrics import BusMetrics, StreamMetrics
from eddyline_events.http import pages
from eddyline_events.http.events import router
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.presence.kick import Kicks
from eddyline_events.hub.presence.presence import Presence
from eddyline_events.mercure import routes as mercure
from eddyline_events.mercure.subscriptions.subscriptions import Subscriptions
from eddyline_events.settings import EventsSettings
from eddyline_events.ticker import tick


def service(context: Context, settings: EventsSettings) -> Service:
    backend = _backend(settings)
    journal, state = backend.journal, backend.state
    broadcast = Broadcast(
        journal, StreamMetrics("events", "broadcast"), context.settings.policy, context.drain
    )
    presence = Presence(state, settings.presence_grace)
    kicks = Kicks(state, backend.signals, presence, settings.kick_seconds)
    broadcast.on_signal.append(kicks.on_signal)
    hub = Hub(context, settings, backend, broadcast, presence, kicks)

    subscriptions = Subscriptions(state, journal) if settings.mercure_subscriptions else None
    routes = router(hub)
    routes.include_router(mercure.router(hub, subscriptions))
    routes.include_router(pages.router())

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(backend.run())
            await stack.enter_async_context(presence.run())
            await stack.enter_async_context(kicks.run())
            if subscriptions is not None:
                await stack.enter_async_context(subscriptions.run())
            await stack.enter_async_context(broadcast.run())
            if settings.demo:
                await stack.enter_async_context(background(tick(journal, state, context.drain)))
            yield

    return Service("events", routes, lifespan, backend.fault)


def _backend(settings: EventsSettings) -> Backend:
    url = "memory://" if settings.redis_url is None else settings.redis_url.get_secret_value()
    bounds = Bounds(
        settings.journal_bytes, settings.journal_entries, settings.journal_age, settings.key_age
    )
    backend = backend_from_url(url, settings.hub, bounds, meter=BusMetrics(settings.hub))
    if settings.workers > 1 and not backend.state.shared:
        raise SettingsError(
            f"EDDYLINE_WORKERS={settings.workers}: the journal of events is in the memory of each"
            " worker, and events that one worker takes do not reach subscribers of another: set"
            " EVENTS_REDIS_URL, or run events with 1"
        )
    return backend


SERVICE = Registration(
    "events",
    EventsSettings,
    service,
    path="/events",
    examples=(
        Example("Live events", "curl -N {url}/events", in_banner=True),
        Example(
            "Publish one",
            "curl {url}/events -H 'Content-Type: application/json'"
            """ -d '{"topic": "demo", "data": "Hello"}'""",
        ),
    ),
    demo=Demo(environment=lambda folder: {"EVENTS_DEMO": "1"}),
    # `POST /events` is not one of these: NDJSON is answered line by line, while the body lasts.
    bounded=("/events/tickets", "/events/kick", "/.well-known/oauth-protected-resource"),
    dashboard=(
        "Streams",
        "Delivery",
        "Readers behind the head",
        "Publishing",
        "Bus",
        "Processes",
    ),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
