"""All services in one app, and the start page."""

from fastapi import FastAPI

import chat.app
import downloads.app
import events.app
import logs.app
import records.app
from chat.settings import ChatSettings
from downloads.settings import DownloadsSettings
from events.settings import EventsSettings
from logs.settings import LogsSettings
from records.settings import RecordsSettings
from standalone.page import router
from streaming.app import Context, Service
from streaming.app import create_app as create
from streaming.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The suite as the environment has it; raises SettingsError."""
    context = Context.of(settings)
    services = [
        downloads.app.service(context, DownloadsSettings.read()),
        events.app.service(context, EventsSettings.read()),
        logs.app.service(context, LogsSettings.read()),
        chat.app.service(context, ChatSettings.read()),
        records.app.service(context, RecordsSettings.read()),
        Service("standalone", router()),
    ]
    return create(context, services, "Millrace")
