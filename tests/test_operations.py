"""The reference has an entry for every setting and metric, and the documents name no other."""

import re
import runpy
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase
from pydantic import AliasChoices

from eddyline.service.registry import registrations
from eddyline.service.settings import Settings
from eddyline.telemetry import metrics

ROOT = Path(__file__).parents[1]
OPERATE = ROOT / "docs" / "operate"
DOCUMENTS = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")]
TEXT = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)

SERVICES = tuple(service.settings for service in registrations().values())

#: Of the clients, of compose, and of Kubernetes.
ELSEWHERE = {
    *(
        "EDDYLINE_URL",
        "EDDYLINE_TOKEN",
        "EDDYLINE_TOKEN_FILE",
        "EVENTS_URL",
        "LOGS_URL",
        "CHAT_URL",
        "RECORDS_URL",
        "DOWNLOADS_URL",
    ),
    *("EVENTS_WORKERS", "EVENTS_CPUS", "EVENTS_PORT"),
}


def variables(settings: type[Settings]) -> set[str]:
    found = set()
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        prefix = settings.model_config.get("env_prefix", "")
        found.add(str(alias.choices[0]) if isinstance(alias, AliasChoices) else prefix + name)
    return {name.upper() for name in found}


@pytest.mark.parametrize("settings", [Settings, *SERVICES], ids=lambda each: each.__name__)
def test_every_setting_says_what_it_is_for(settings: type[Settings]) -> None:
    for name, field in settings.model_fields.items():
        assert re.fullmatch(r".{10,}[.:].*", field.description or "", re.DOTALL), name


def test_no_document_makes_a_setting_up() -> None:
    known = set().union(*(variables(settings) for settings in (Settings, *SERVICES)))
    prefixes = "|".join({name.partition("_")[0] for name in known})
    named = set(re.findall(rf"(?<![\w-])(?:{prefixes})_[A-Z][A-Z_]*(?![\w*…])", TEXT))
    assert named - known - ELSEWHERE == set()


def test_every_metric_says_what_it_counts() -> None:
    found = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    assert len(found) > 30
    for metric in found:
        assert len(metric.describe()[0].documentation) > 10, metric


def test_no_document_makes_a_metric_up() -> None:
    text = metrics.exposition().decode()
    known = set(re.findall(r"^# TYPE (eddyline_\w+) ", text, re.MULTILINE))
    named = set(re.findall(r"`(eddyline_\w+)`", TEXT))
    assert named - known - {f"eddyline_{name}" for name in (*registrations(), "NAME")} == set()


def test_the_grace_is_the_one_that_gunicorn_gets() -> None:
    graceful = runpy.run_module("eddyline.server.gunicorn")["graceful_timeout"]
    text = (OPERATE / "signals.md").read_text(encoding="utf-8")
    assert f"{graceful} s with the defaults" in re.sub(r"\s+", " ", text)
