"""Puts the logs service together: `app` alone, `service` as a part of standalone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from eddyline.broadcast.broadcast import Broadcast
from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Demo, Example, Registration
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_logs.demo import demo_log
from eddyline_logs.http.routes import LogsApi
from eddyline_logs.reading.backlog import Limits
from eddyline_logs.reading.history import History, LogJournal
from eddyline_logs.reading.tails import Tails
from eddyline_logs.settings import LogsSettings
from eddyline_logs.sources.registry import Sources


def service(context: Context, settings: LogsSettings) -> Service:
    sources = Sources.parse(settings.sources)
    journal = LogJournal(settings.journal_bytes, settings.journal_age)
    meter, once = StreamMetrics("logs", "broadcast"), StreamMetrics("logs", "pull")
    broadcast = Broadcast(journal, meter, context.settings.policy, context.drain)
    tails = Tails(journal, settings)
    limits = Limits(settings.line_limit, settings.backlog_bytes)
    journal.history = History(journal, sources.find, tails, limits)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(broadcast.run())
            await stack.enter_async_context(tails.run())
            if settings.demo is not None:
                await stack.enter_async_context(demo_log(settings.demo))
            yield

    api = LogsApi(context, settings, sources, broadcast, meter, once, tails, journal.history)
    return Service("logs", api.routes(), lifespan)


SERVICE = Registration(
    "logs",
    LogsSettings,
    service,
    path="/logs",
    examples=(Example("Follow a log", "curl -N {url}/logs/app.log"),),
    demo=Demo(
        environment=lambda folder: {
            "LOGS_DEMO": str(folder / "logs" / "app.log"),
            "LOGS_SOURCES": f"app.log={folder / 'logs' / 'app.log'}",
        }
    ),
    dashboard=("Streams", "Delivery", "Readers behind the head", "Processes"),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
