"""Puts the records service together: `app` alone, `service` as a part of standalone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from eddyline.service.app import Context, Service, module_app
from eddyline.service.app import create_app as create
from eddyline_records.demo import make_users
from eddyline_records.http import routes
from eddyline_records.settings import RecordsSettings


def service(context: Context, settings: RecordsSettings) -> Service:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if settings.demo is not None:
            await asyncio.to_thread(make_users, settings.demo)
        yield

    return Service("records", routes.router(context, settings.by_name), lifespan)


def create_app(settings: RecordsSettings | None = None) -> FastAPI:
    settings = settings or RecordsSettings.read()
    context = Context.from_settings(settings)
    return create(context, [service(context, settings)], "Eddyline records")


__getattr__ = module_app(create_app)
