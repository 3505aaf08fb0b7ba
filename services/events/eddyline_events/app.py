"""The events service: a hub on a journal, read as server-sent events."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pkgutil import resolve_name

from fastapi import APIRouter

from eddyline.auth.authenticator import HOW_TO_SET_A_KEY, Authenticator
from eddyline.auth.jwt import JwtVerifier, OneKey
from eddyline.auth.keys import key_from_file
from eddyline.broadcast.broadcast import Broadcast
from eddyline.errors import SettingsError
from eddyline.journal.backends import backend_from_url
from eddyline.journal.base import Backend, Bounds, unbounded
from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Demo, Example, Registration
from eddyline.tasks import background
from eddyline.telemetry.metrics import BusMetrics, StreamMetrics
from eddyline_events.extension import Extension
from eddyline_events.http.access import Access
from eddyline_events.http.browser_files import BrowserFiles
from eddyline_events.http.events import EventsApi
from eddyline_events.http.management import ManagementApi
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.options import Namespaces
from eddyline_events.hub.presence.kick import Kicks
from eddyline_events.hub.presence.presence import Presence
from eddyline_events.settings import EventsSettings
from eddyline_events.ticker import tick

#: Protocols beside the hub's own API, each an `Extension` that is made from a Hub.
EXTENSIONS = [
    "eddyline_events.mercure.api:MercureApi",
]


def service(context: Context, settings: EventsSettings) -> Service:
    hub = _hub(context, settings)
    extensions: list[Extension] = [resolve_name(name)(hub) for name in EXTENSIONS]
    access = Access(hub)
    routes = APIRouter()
    routes.include_router(EventsApi(hub, access, [one.link for one in extensions]).routes())
    routes.include_router(ManagementApi(hub, access).routes())
    for extension in extensions:
        routes.include_router(extension.routes())
    routes.include_router(BrowserFiles().routes())
    return Service("events", routes, partial(_run, hub, extensions), hub.backend.fault)


def _hub(context: Context, settings: EventsSettings) -> Hub:
    namespaces = Namespaces.read(settings.namespaces, settings.journal_age)
    backend = _backend(settings, namespaces)
    meter = StreamMetrics("events", "broadcast")
    broadcast = Broadcast(backend.journal, meter, context.settings.policy, context.drain)
    presence = Presence(backend.state, settings.presence_grace)
    kicks = Kicks(backend.state, backend.signals, presence, settings.kick_seconds)
    broadcast.on_signal.append(kicks.on_signal)
    publishers = _publishers(context, settings)
    return Hub(context, settings, backend, broadcast, presence, kicks, publishers, namespaces)


def _publishers(context: Context, settings: EventsSettings) -> Authenticator:
    """The verifier of publishers' tokens: that of all, where they have no key of their own."""
    path = settings.publisher_key_file
    if path is None:
        return context.authenticator
    if not context.authenticator.enabled:
        raise SettingsError(
            f"EVENTS_PUBLISHER_KEY_FILE={path}, and authentication is off: {HOW_TO_SET_A_KEY}"
        )
    key = key_from_file(path, f"EVENTS_PUBLISHER_KEY_FILE={path}")
    return Authenticator(JwtVerifier(OneKey(key), settings.auth_issuer, settings.auth_audience))


def _backend(settings: EventsSettings, namespaces: Namespaces) -> Backend:
    url = "memory://" if settings.redis_url is None else settings.redis_url.get_secret_value()
    bounds = Bounds(
        settings.journal_bytes,
        settings.journal_entries,
        settings.journal_age,
        settings.key_age,
        namespaces.bounds if namespaces.bound_history else unbounded,
    )
    backend = backend_from_url(url, settings.hub, bounds, meter=BusMetrics(settings.hub))
    if settings.workers > 1 and not backend.state.shared:
        raise SettingsError(
            f"EDDYLINE_WORKERS={settings.workers}: the journal of events is in the memory of each"
            " worker, and events that one worker takes do not reach subscribers of another: set"
            " EVENTS_REDIS_URL, or run events with 1"
        )
    return backend


@asynccontextmanager
async def _run(hub: Hub, extensions: Sequence[Extension]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(hub.backend.run())
        await stack.enter_async_context(hub.presence.run())
        await stack.enter_async_context(hub.kicks.run())
        for extension in extensions:
            await stack.enter_async_context(extension.run())
        await stack.enter_async_context(hub.broadcast.run())
        if hub.settings.demo:
            demo = tick(hub.journal, hub.state, hub.context.drain)
            await stack.enter_async_context(background(demo))
        yield


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
