"""Puts the streams service together: `app` alone, `service` as a part of standalone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter

from eddyline.durable import store_source
from eddyline.errors import SettingsError
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Example, Registration
from eddyline.store.stores import RunnableStore, store_from_url
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_streams.http.routes import StreamsApi
from eddyline_streams.http.subscriptions import SubscriptionsApi
from eddyline_streams.settings import StreamsSettings
from eddyline_streams.subscriptions.subscriptions import Subscriptions
from eddyline_streams.subscriptions.webhook import Webhooks

#: Schemes of stores that one process alone can write.
ONE_PROCESS = ("memory", "file")


def service(context: Context, settings: StreamsSettings) -> Service:
    url = settings.store.get_secret_value()
    if settings.workers > 1 and url.partition("://")[0] in ONE_PROCESS:
        raise SettingsError(
            f"EDDYLINE_WORKERS={settings.workers}: STREAMS_STORE names a store that one process"
            " writes: run streams with 1"
        )
    store = store_from_url(url)
    meter = StreamMetrics("streams", "broadcast")
    feeds = StreamFeeds(store, store_source.entry, meter, context.settings.policy, context.drain)
    # Webhooks of this machine are for development, where nobody else can reach the service.
    local = settings.on_loopback
    subscriptions = Subscriptions(store, Webhooks(local=local))
    routes = APIRouter()
    # First: its paths are below those of streams.
    routes.include_router(SubscriptionsApi(context, subscriptions, local=local).routes())
    routes.include_router(StreamsApi(context, settings, store, feeds, subscriptions).routes())
    return Service("streams", routes, partial(_run, store, feeds, subscriptions))


@asynccontextmanager
async def _run(
    store: RunnableStore, feeds: StreamFeeds, subscriptions: Subscriptions
) -> AsyncIterator[None]:
    async with store.run(), feeds.run(), subscriptions.run():
        yield


SERVICE = Registration(
    "streams",
    StreamsSettings,
    service,
    path="/v1/stream/demo",
    examples=(
        Example(
            "Make a stream",
            "curl -X PUT {url}/v1/stream/demo -H 'Content-Type: text/plain' -d 'Hello '",
        ),
        Example(
            "Append to it",
            "curl {url}/v1/stream/demo -H 'Content-Type: text/plain' -d 'world'",
        ),
        Example("Follow it", "curl -N '{url}/v1/stream/demo?offset=-1&live=sse'"),
    ),
    dashboard=("Streams", "Delivery", "Readers behind the head", "Processes"),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
