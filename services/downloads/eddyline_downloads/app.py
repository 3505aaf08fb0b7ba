"""Puts the downloads service together: `app` alone, `service` as a part of standalone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from eddyline.service.app import Context, Service, module_app
from eddyline.service.app import create_app as create
from eddyline_downloads.demo import make_files
from eddyline_downloads.http import routes
from eddyline_downloads.settings import DownloadsSettings
from eddyline_downloads.stores.folder import FileStore


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
    context = Context.from_settings(settings)
    return create(context, [service(context, settings)], "Eddyline downloads")


__getattr__ = module_app(create_app)
