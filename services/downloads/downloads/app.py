"""Puts the downloads service together: `uvicorn downloads.app:app`, or `service` in standalone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from downloads import routes
from downloads.demo import make_files
from downloads.settings import DownloadsSettings
from downloads.store import FileStore
from streaming.app import Context, Service, module_app
from streaming.app import create_app as create


def service(context: Context, settings: DownloadsSettings) -> Service:
    store = FileStore(settings.folder)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if settings.demo:
            await asyncio.to_thread(make_files, settings.folder)
        yield

    return Service("downloads", routes.router(context, settings, store), lifespan, store.fault)


def create_app(settings: DownloadsSettings | None = None) -> FastAPI:
    settings = settings or DownloadsSettings.read()
    context = Context.of(settings)
    return create(context, [service(context, settings)], "Millrace downloads")


__getattr__ = module_app(create_app)
