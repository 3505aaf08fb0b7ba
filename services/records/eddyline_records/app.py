"""Puts the records service together: `app` alone, `service` as a part of standalone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Demo, Example, Registration
from eddyline.tasks import background
from eddyline_records.demo import make_users
from eddyline_records.http.routes import RecordsApi
from eddyline_records.readiness import Readiness
from eddyline_records.settings import RecordsSettings


def service(context: Context, settings: RecordsSettings) -> Service:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if settings.demo is not None:
            await asyncio.to_thread(make_users, settings.demo)
        await readiness.check()
        async with background(readiness.watch()):
            yield

    datasets = settings.by_name
    readiness = Readiness(datasets)
    return Service(
        "records",
        RecordsApi(context, datasets, settings.snapshot_seconds).routes(),
        lifespan,
        readiness.fault,
    )


SERVICE = Registration(
    "records",
    RecordsSettings,
    service,
    path="/users/stream",
    examples=(
        Example("A million users", "curl -s {url}/users/stream | tail -n 3", in_banner=True),
    ),
    demo=Demo(
        environment=lambda folder: {"RECORDS_DEMO": str(folder / "users.db")},
        make=lambda folder: make_users(folder / "users.db"),
        announce=lambda folder: None if (folder / "users.db").exists() else "1,000,000 users",
    ),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
