"""All services in one app, and the start page."""

from collections.abc import Sequence

from fastapi import FastAPI

from eddyline.service.app import Context, Service
from eddyline.service.app import create_app as create
from eddyline.service.registry import Registration
from eddyline.service.settings import Settings
from eddyline_standalone.access import Access
from eddyline_standalone.console_files import Console
from eddyline_standalone.page import StartPage


def create_app(settings: Settings, services: Sequence[Registration[Settings]]) -> FastAPI:
    """The suite as the environment has it. Raises SettingsError."""
    context = Context.from_settings(settings)
    examples = [example for service in services for example in service.examples]
    parts = [service.with_context(context) for service in services]
    page = StartPage(examples, Access(settings))
    own = [Service("standalone", page.routes()), Service("console", Console().routes())]
    return create(context, [*parts, *own], "Eddyline")
