"""The reference: pages that follow from docstrings, settings, metrics, help and OpenAPI."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from command import command
from operations import operations
from prometheus_client.metrics import MetricWrapperBase
from pydantic import AliasChoices, SecretStr
from pydantic_core import PydanticUndefined

import eddyline
from eddyline.service.registry import registrations
from eddyline.service.settings import Settings
from eddyline.telemetry import metrics

ROOT = Path(__file__).parents[2]

#: Where a seam may be: the `base.py` of a room of the library or of a service.
_SEAMS = ("shared/streaming/eddyline/*/base.py", "services/*/eddyline_*/**/base.py")

INDEX = """# Reference

Made from the code, as it is at this version.

- [Settings](settings.md)
- [Metrics](metrics.md)
- [The command](command.md)
- [The library](library.md)
- [Seams](seams.md): the protocols that you may implement.
- [HTTP](http/index.md): the requests of each service.
"""


def pages() -> dict[str, str]:
    """The text of each page, by its path below `reference/`."""
    services = registrations()
    http = {f"http/{name}.md": operations(name, each) for name, each in services.items()}
    links = "".join(f"- [{name}]({name}.md)\n" for name in services)
    return {
        "index.md": INDEX,
        "settings.md": settings({"All services": Settings} | classes(services)),
        "metrics.md": every_metric(),
        "command.md": command(),
        "library.md": "# The library\n\n" + "".join(map(_documented, eddyline.__all__)),
        "seams.md": "# Seams\n\n" + "".join(map(_module, seams())),
        "http/index.md": f"# HTTP\n\n{links}",
        **http,
    }


def classes(services: Mapping[str, Any]) -> dict[str, type[Settings]]:
    return {name.capitalize(): service.settings for name, service in services.items()}


def settings(by_heading: Mapping[str, type[Settings]]) -> str:
    tables = (f"\n## {heading}\n\n{_table(cls)}" for heading, cls in by_heading.items())
    return (
        "# Settings\n\nHow they are read: [operate](../operate/settings.md). Times are in seconds, "
        "sizes in bytes.\n" + "".join(tables)
    )


def _table(cls: type[Settings]) -> str:
    rows = "".join(_rows(cls))
    return f"| variable | default | meaning |\n|---|---|---|\n{rows}"


def _rows(cls: type[Settings]) -> Iterator[str]:
    for name, field in cls.model_fields.items():
        if cls is not Settings and name in Settings.model_fields:
            continue
        meaning = " ".join((field.description or "").split())
        yield f"| `{_variable(cls, name)}` | {_default(field.default)} | {_cell(meaning)} |\n"


def _variable(cls: type[Settings], name: str) -> str:
    alias = cls.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return f"{cls.model_config.get('env_prefix', '')}{name}".upper()


def _default(value: Any) -> str:
    if value in (None, "", (), PydanticUndefined) or isinstance(value, SecretStr):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def every_metric() -> str:
    found = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    rows = "".join(map(_metric, dict.fromkeys(found)))
    return (
        "# Metrics\n\nHow they are collected: [operate](../operate/metrics.md).\n\n"
        f"| metric | kind | labels | meaning |\n|---|---|---|---|\n{rows}"
    )


def _metric(metric: MetricWrapperBase) -> str:
    (about,) = metric.describe()
    name = f"{about.name}_total" if about.type == "counter" else about.name
    labels = ", ".join(metric._labelnames)
    return f"| `{name}` | {about.type} | {labels} | {_cell(about.documentation)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _documented(name: str) -> str:
    kind = "autoexception" if issubclass(getattr(eddyline, name), Exception) else "autoclass"
    return _autodoc(name, kind, f"eddyline.{name}")


def seams() -> list[str]:
    """The modules of all seams, by their dotted names."""
    files = sorted(path for pattern in _SEAMS for path in ROOT.glob(pattern))
    return [".".join(_parts(file)) for file in files]


def _parts(file: Path) -> tuple[str, ...]:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[next(i for i, part in enumerate(parts) if re.match(r"eddyline", part)) :]


def _module(name: str) -> str:
    return _autodoc(f"`{name}`", "automodule", name)


def _autodoc(heading: str, directive: str, name: str) -> str:
    return (
        f"## {heading}\n\n```{{eval-rst}}\n.. {directive}:: {name}\n"
        "   :members:\n   :show-inheritance:\n```\n\n"
    )
