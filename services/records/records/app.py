"""Puts the records service together: `uvicorn records.app:app`, or `service` in standalone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from records import routes
from records.demo import make_users
from records.settings import RecordsSettings
from streaming.app import Context, Service, module_app
from streaming.app import create_app as create


def service(context: Context, settings: RecordsSettings) -> Service:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if settings.demo is not None:
            await asyncio.to_thread(make_users, settings.demo)
        yield

    return Service("records", routes.router(context, settings.by_name), lifespan)


def create_app(settings: RecordsSettings | None = None) -> FastAPI:
    settings = settings or RecordsSettings.read()
    context = Context.of(settings)
    return create(context, [service(context, settings)], "Millrace records")


__getattr__ = module_app(create_app)
