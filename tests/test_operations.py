"""The documentation names every setting and metric of the code, and no other.

It is docs/operations.md, and the README.md of a service that has one of its own.
"""

import re
import runpy
from pathlib import Path

import pytest
from pydantic import AliasChoices

from eddyline.service.registry import registrations
from eddyline.service.settings import Settings
from eddyline.telemetry import metrics

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
READMES = [ROOT / "services" / name / "README.md" for name in registrations()]

SERVICES = tuple(service.settings for service in registrations().values())


def settings_rows() -> dict[str, list[str]]:
    """Of all services: those of a service may be in its own README."""
    found = rows("Settings")
    for readme in READMES:
        found |= rows("Settings", readme.read_text()) if readme.exists() else {}
    return found


def rows(heading: str, text: str = TEXT) -> dict[str, list[str]]:
    """The cells of the table below a heading, by the name in the first."""
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if match := re.match(r"`([A-Za-z_]+)`", cells[0]):
            found[match[1]] = cells
    return found


def defaults(settings: type[Settings]) -> dict[str, str]:
    """The default of each variable, as the table writes it."""
    found = {}
    own = set(settings.model_fields) - set(Settings.model_fields)
    for name, field in settings.model_fields.items():
        if settings is not Settings and name not in own:
            continue
        alias = field.validation_alias
        variable = f"{settings.model_config.get('env_prefix', '')}{name}".upper()
        if isinstance(alias, AliasChoices):
            variable = str(alias.choices[0])
        value = field.default
        found[variable] = "" if value in (None, "") else f"`{value}`"
    return found


@pytest.mark.parametrize("settings", [Settings, *SERVICES])
def test_every_setting_is_there_with_its_default(settings: type[Settings]) -> None:
    table = settings_rows()
    for variable, default in defaults(settings).items():
        assert variable in table, f"{variable} is missing in the documentation"
        assert table[variable][1] == default, variable


def test_no_setting_is_made_up() -> None:
    known = {variable for settings in (Settings, *SERVICES) for variable in defaults(settings)}
    assert set(settings_rows()) == known


def test_the_metrics_are_those_of_the_code() -> None:
    text = metrics.exposition().decode()
    names = set(re.findall(r"^# TYPE (eddyline_\w+) ", text, re.MULTILINE))
    assert set(rows("Metrics")) == {name for name in names if not name.endswith("_created")}


def test_the_grace_is_the_one_that_gunicorn_gets() -> None:
    graceful = runpy.run_module("eddyline.server.gunicorn")["graceful_timeout"]
    assert f"{graceful} s with the defaults" in re.sub(r"\s+", " ", TEXT)
