"""The suite that a command is for, and the token that it carries."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from eddyline.cli import exits
from eddyline.cli.output import say
from eddyline.client import AsyncClient
from eddyline.errors import SettingsError

#: A token in an argument would be seen by all users of the machine.
Url = Annotated[
    str, typer.Option("--url", envvar="EDDYLINE_URL", help="Address of the suite.", metavar="URL")
]
Json = Annotated[bool, typer.Option("--json", help="NDJSON: one value a line.")]
Strict = Annotated[bool, typer.Option("--strict", help="A gap ends it, with exit code 7.")]

URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Target:
    """A suite as the environment and the options name it."""

    url: str
    token: str | None

    def client(self, **options: Any) -> AsyncClient:
        return AsyncClient(self.url, token=self.token, **options)


def target(url: str, environment: dict[str, str]) -> Target:
    """Raises SettingsError for an address that is none, and a token file that can't be read."""
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"{url!r} is no address: expected http://… or https://…")
    token = environment.get("EDDYLINE_TOKEN")
    path = environment.get("EDDYLINE_TOKEN_FILE")
    if not token and path:
        try:
            token = Path(path).read_text().strip()
        except OSError as error:
            raise SettingsError(f"EDDYLINE_TOKEN_FILE={path}: {error.strerror}") from None
    return Target(url, token or None)


def run(url: str, work: Callable[[AsyncClient], Awaitable[None]], **options: Any) -> None:
    """Runs `work` with a client of the suite, and exits with the code of its end."""

    async def whole() -> None:
        async with target(url, dict(os.environ)).client(**options) as client:
            await work(client)

    tell_attempts()
    exits.guarded(lambda: asyncio.run(whole()))


def tell_attempts() -> None:
    """Shows why a stream is away, and when it is tried again."""
    handler = Attempts()
    logger = logging.getLogger("eddyline.client")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


class Attempts(logging.Handler):
    """Notes of the client, for the person before the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), "dim")
