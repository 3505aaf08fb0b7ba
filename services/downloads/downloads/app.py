"""Puts the downloads service together: `uvicorn downloads.app:app`, or `service` in standalone."""

from fastapi import FastAPI

from downloads import routes
from downloads.settings import DownloadsSettings
from downloads.store import FileStore
from streaming.app import Context, Service, module_app
from streaming.app import create_app as create


def service(context: Context, settings: DownloadsSettings) -> Service:
    store = FileStore(settings.folder)
    return Service("downloads", routes.router(context, settings, store), ready=store.fault)


def create_app(settings: DownloadsSettings | None = None) -> FastAPI:
    settings = settings or DownloadsSettings.read()
    context = Context.of(settings)
    return create(context, [service(context, settings)], "Millrace downloads")


__getattr__ = module_app(create_app)
