"""The installed services: each describes itself by an entry point of `eddyline.services`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, TypeVar

from fastapi import FastAPI

from eddyline.auth.base import TokenVerifier
from eddyline.errors import SettingsError
from eddyline.service.app import Context, Service, create_app
from eddyline.service.settings import Settings

GROUP = "eddyline.services"

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Example:
    """A command to try; `{url}` stands for the address of the suite.

    Every example is on the start page, and those with `in_banner` are shown by the terminal too.
    """

    title: str
    command: str
    in_banner: bool = False


@dataclass(frozen=True)
class Demo:
    """Data to try a service with, in a folder that all services share.

    `environment` returns the variables by which the service finds its part of an absolute folder.
    `make` makes each file that is missing there. `announce` names the data that takes a while to
    make, and returns None where it is there already.
    """

    environment: Callable[[Path], Mapping[str, str]] = lambda folder: {}
    make: Callable[[Path], None] = lambda folder: None
    announce: Callable[[Path], str | None] = lambda folder: None


@dataclass(frozen=True)
class Registration(Generic[S]):
    """The value of an entry point: a service before it has settings.

    `path` is where a newcomer looks first. `bounded` are prefixes of routes that answer at once:
    a gateway may end their requests after a while, and must never end any other. `dashboard` names
    the rows of panels (observability/make_dashboards.py).
    """

    name: str
    settings: type[S]
    service: Callable[[Context, S], Service]
    path: str
    examples: tuple[Example, ...] = ()
    demo: Demo = Demo()
    bounded: tuple[str, ...] = ()
    dashboard: tuple[str, ...] = ("Streams", "Processes")

    def create_app(
        self, settings: S | None = None, verifier: TokenVerifier | None = None
    ) -> FastAPI:
        """The service alone; without `settings` the environment is read. Raises SettingsError.

        `verifier`: another way to verify tokens than by the keys that the settings name.
        """
        settings = settings or self.settings.read()
        context = Context.from_settings(settings, verifier)
        return create_app(context, [self.service(context, settings)], f"Eddyline {self.name}")

    def with_context(self, context: Context) -> Service:
        """The service as one of several, by the environment. Raises SettingsError."""
        return self.service(context, self.settings.read())


def registrations() -> dict[str, Registration[Settings]]:
    """The installed services by name, in alphabetical order.

    Raises SettingsError where one is installed whose files are gone, and else the errors of
    importing one.
    """
    found = [_load(entry) for entry in entry_points(group=GROUP)]
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def _load(entry: EntryPoint) -> Registration[Settings]:
    try:
        loaded: Registration[Settings] = entry.load()
    except ModuleNotFoundError as error:
        if error.name != entry.module.partition(".")[0]:
            raise
        # The folder of a service was deleted, or is on another branch: its entry point stays.
        package = entry.dist.name if entry.dist else entry.name
        raise SettingsError(
            f"the service {entry.name!r} is installed, and its module {error.name!r} is gone:"
            f" bring its files back, or uninstall the package {package}"
        ) from None
    return loaded
