"""Commands of a suite as a whole: status, run, config check and show."""

from importlib import import_module
from typing import Annotated, Any

import httpx
import orjson
import typer

from eddyline.cli import exits
from eddyline.cli.output import json_line, line, styled
from eddyline.cli.target import URL, Json, Url, run
from eddyline.client import AsyncClient, Failed
from eddyline.errors import SettingsError, StreamingError

Service = Annotated[str | None, typer.Argument(help="One service; none: all that are installed.")]


def status(as_json: Json = False, url: Url = URL) -> None:
    """Whether the suite takes streams, and the fault of each service that does not."""

    async def work(client: AsyncClient) -> None:
        try:
            # Of 503 the faults count, and its body is no problem document.
            async with httpx.AsyncClient(timeout=10.0) as plain:
                answer = await plain.get(str(client.api.at("readyz")))
            said: dict[str, Any] = orjson.loads(answer.content)
            faults: dict[str, str] = said["faults"]
        except (httpx.TransportError, ValueError, KeyError, TypeError) as error:
            raise Failed(0, f"{url} tells no readiness: {error}") from None
        if as_json:
            json_line({"ready": not faults, "faults": faults})
        elif not faults:
            styled(("ready", "bold green"), (url, ""))
        for name, fault in faults.items() if not as_json else ():
            styled((name, "bold red"), (fault, ""))
        if faults:
            raise StreamingError(f"{url} is not ready")

    run(url, work)


def run_suite(context: typer.Context) -> None:
    """All services on one port, with demo data; the options are those of `make run`."""
    _main_of("eddyline_standalone.__main__", "the package eddyline-standalone", context.args)


def _main_of(module: str, needs: str, arguments: list[str]) -> None:
    def work() -> None:
        try:
            loaded = import_module(module)
        except ModuleNotFoundError as error:
            raise StreamingError(f"it needs {needs}: {error.name} is not installed") from None
        loaded.main(arguments)

    exits.guarded(work)


def check(service: Service = None) -> None:
    """Read the settings from the environment; exit code 3 where one is wrong or unknown."""

    def work() -> None:
        for name, settings in _settings(service).items():
            settings.read()
            line(f"{name}: ok")

    exits.guarded(work)


def show(service: Service = None, as_json: Json = False) -> None:
    """The settings in force, secrets hidden, with the variable of each."""

    def work() -> None:
        for name, settings in _settings(service).items():
            read = settings.read()
            for field, value in read:
                if as_json:
                    json_line({"service": name, "setting": field, "value": str(value)})
                else:
                    styled((name, "dim"), (f"{field}={value}", ""))

    exits.guarded(work)


def _settings(service: str | None) -> dict[str, Any]:
    """The classes of settings, by service; raises SettingsError for a service that is unknown."""
    # The parts of a server: only these commands need them.
    try:
        registry: Any = import_module("eddyline.service.registry")
    except ModuleNotFoundError as error:
        raise StreamingError(f"it needs the services: {error.name} is not installed") from None
    found = {name: each.settings for name, each in registry.registrations().items()}
    if service is None:
        return found
    if service not in found:
        raise SettingsError(f"{service!r} is no installed service: {', '.join(found) or 'none is'}")
    return {service: found[service]}


__all__ = ["check", "run_suite", "show", "status"]
