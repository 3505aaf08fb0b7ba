"""The text that the terminal shows when the suite is there."""

from collections.abc import Iterable, Sequence

from eddyline.service.registry import Registration
from eddyline.service.settings import Settings
from eddyline_standalone.access import Access

_TEXT = """
Eddyline is running: {url}
{access}

  {url}/               start page
  {url}/console        streams, topics, subscribers, and the proof that nothing is lost
  {url}/docs           every route

{services}

Try:
{examples}

Ctrl-C ends it.
"""


def banner(url: str, settings: Settings, services: Sequence[Registration[Settings]]) -> str:
    access = Access(settings)
    width = max(len(service.name) for service in services)
    return _TEXT.format(
        url=url,
        access=access.text(),
        services=_lines(f"{each.name:<{width}}  {url}{each.path}" for each in services),
        examples=_lines(
            access.command(example.command.replace("{url}", url))
            for each in services
            for example in each.examples
            if example.in_banner
        ),
    )


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(f"  {text}" for text in texts)
