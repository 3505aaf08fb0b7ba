"""docs/operations.md names every setting and metric of the code, and no other."""

import re
import runpy
from pathlib import Path

import pytest
from pydantic import AliasChoices

from eddyline.service.registry import registrations
from eddyline.service.settings import Settings
from eddyline.telemetry import metrics

TEXT = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")

SERVICES = tuple(service.settings for service in registrations().values())


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of the table below a heading, by the name in the first."""
    section = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
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
    table = rows("Settings")
    for variable, default in defaults(settings).items():
        assert variable in table, f"{variable} is missing in docs/operations.md"
        assert table[variable][1] == default, variable


def test_no_setting_is_made_up() -> None:
    known = {variable for settings in (Settings, *SERVICES) for variable in defaults(settings)}
    assert set(rows("Settings")) == known


def test_the_metrics_are_those_of_the_code() -> None:
    text = metrics.exposition().decode()
    names = set(re.findall(r"^# TYPE (eddyline_\w+) ", text, re.MULTILINE))
    assert set(rows("Metrics")) == {name for name in names if not name.endswith("_created")}


def test_the_grace_is_the_one_that_gunicorn_gets() -> None:
    graceful = runpy.run_module("eddyline.server.gunicorn")["graceful_timeout"]
    assert f"{graceful} s with the defaults" in re.sub(r"\s+", " ", TEXT)
