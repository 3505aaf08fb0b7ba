"""The text that the terminal shows when the suite is there."""

from collections.abc import Iterable, Sequence

from eddyline.service.registry import Registration
from eddyline.service.settings import Settings

_TEXT = """
Eddyline is running: {url}
{access}

  {url}/               start page
  {url}/docs           every route

{services}

Try:
{examples}

Ctrl-C ends it.
"""


def banner(url: str, settings: Settings, services: Sequence[Registration[Settings]]) -> str:
    width = max(len(service.name) for service in services)
    return _TEXT.format(
        url=url,
        access=_access(settings),
        services=_lines(f"{each.name:<{width}}  {url}{each.path}" for each in services),
        examples=_lines(
            example.command.replace("{url}", url)
            for each in services
            for example in each.examples
            if example.in_banner
        ),
    )


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(f"  {text}" for text in texts)


def _access(settings: Settings) -> str:
    if settings.auth != "off" and (
        settings.auth_key or settings.auth_key_file or settings.auth_jwks
    ):
        return "Authentication is on: requests need a bearer token."
    if settings.on_loopback:
        return "Authentication is off: only this machine can connect."
    return "Authentication is off: anyone who can connect may do everything."
