"""All services in one app, and the start page."""

from fastapi import FastAPI

import eddyline_chat.app
import eddyline_downloads.app
import eddyline_events.app
import eddyline_logs.app
import eddyline_records.app
from eddyline.service.app import Context, Service
from eddyline.service.app import create_app as create
from eddyline.service.settings import Settings
from eddyline_chat.settings import ChatSettings
from eddyline_downloads.settings import DownloadsSettings
from eddyline_events.settings import EventsSettings
from eddyline_logs.settings import LogsSettings
from eddyline_records.settings import RecordsSettings
from eddyline_standalone.page import router


def create_app(settings: Settings) -> FastAPI:
    """The suite as the environment has it; raises SettingsError."""
    context = Context.from_settings(settings)
    services = [
        eddyline_downloads.app.service(context, DownloadsSettings.read()),
        eddyline_events.app.service(context, EventsSettings.read()),
        eddyline_logs.app.service(context, LogsSettings.read()),
        eddyline_chat.app.service(context, ChatSettings.read()),
        eddyline_records.app.service(context, RecordsSettings.read()),
        Service("standalone", router()),
    ]
    return create(context, services, "Eddyline")
