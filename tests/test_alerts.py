"""The alert rules: of metrics that exist, tested by promtool, and each with its runbook."""

import re
import runpy
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import promql
import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "observability"

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
CASES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
NAMES = [rule["alert"] for rule in RULES]
RUNBOOKS = (ROOT / "docs" / "operate" / "runbooks.md").read_text(encoding="utf-8")
TABLE = (ROOT / "docs" / "operate" / "alerts.md").read_text(encoding="utf-8")


def by_name(name: str) -> dict[str, Any]:
    return RULES[NAMES.index(name)]


def cases(name: str, how: str) -> list[dict[str, Any]]:
    return [case for case in CASES if case["name"].startswith(f"{name} {how}: ")]


def test_no_alert_is_there_twice() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_promtool_passes_their_tests(tool: Callable[..., str]) -> None:
    command = [tool("promtool"), "test", "rules", "alerts_test.yml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_fires_in_one_case_and_none_in_another(name: str) -> None:
    fires, quiet = cases(name, "fires"), cases(name, "is quiet")
    assert fires
    assert quiet
    for case in fires:
        (asked,) = case["promql_expr_test"]
        assert asked["expr"] == 'ALERTS{alertstate="firing"}'
        (sample,) = asked["exp_samples"]
        assert f'alertname="{name}"' in sample["labels"]
        assert f'severity="{by_name(name)["labels"]["severity"]}"' in sample["labels"]
    for case in quiet:
        (asked,) = case["promql_expr_test"]
        assert asked["expr"] == 'max_over_time(ALERTS{alertstate="firing"}[30m])'
        assert asked["exp_samples"] == []


def test_no_case_is_of_an_alert_that_is_gone() -> None:
    for case in CASES:
        name, how = case["name"].split(":")[0].split(" ", 1)
        assert name in NAMES
        assert how in ("fires", "is quiet")


@pytest.mark.parametrize("name", NAMES)
def test_its_expression_is_of_metrics_and_labels_that_exist(name: str) -> None:
    assert promql.faults(by_name(name)["expr"]) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_its_cases_are_of_series_that_exist(case: dict[str, Any]) -> None:
    series = promql.known()
    for given in case["input_series"]:
        ((metric, labels),) = promql.selectors(given["series"])
        assert labels - promql.TARGET == series[metric] - promql.TARGET


@pytest.mark.parametrize("name", NAMES)
def test_its_text_names_labels_that_it_has(name: str) -> None:
    rule = by_name(name)
    assert rule["labels"]["severity"] in ("critical", "warning")
    text = " ".join(rule["annotations"].values())
    for case in cases(name, "fires"):
        labels = case["promql_expr_test"][0]["exp_samples"][0]["labels"]
        for label in re.findall(r"\$labels\.(\w+)", text):
            assert f'{label}="' in labels


@pytest.mark.parametrize("name", NAMES)
def test_its_runbook_is_there(name: str) -> None:
    annotations = by_name(name)["annotations"]
    site = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["eddyline"]["documents"]
    assert urlsplit(site).scheme == "https"
    assert annotations["runbook_url"] == f"{site}operate/runbooks.html#{name.lower()}"
    found = re.search(rf"^## {name}\n\n(.*?)(?=\n## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert len(found[1]) > 200
    link = rf"\[`{name}`\]\(runbooks\.md#{name.lower()}\)"
    row = re.search(rf"^\| {link} \| (\w+) \|", TABLE, re.MULTILINE)
    assert row is not None
    assert row[1] == by_name(name)["labels"]["severity"]


def test_no_runbook_is_of_an_alert_that_is_gone() -> None:
    assert set(re.findall(r"^## (.+)$", RUNBOOKS, re.MULTILINE)) == set(NAMES)


def test_alerts_go_where_prometheus_is_told(tool: Callable[..., str]) -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    [there] = config["alerting"]["alertmanagers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    [target] = there["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert compose[name]["ports"][0].endswith(f":{port}")
    command = [tool("amtool"), "check-config", str(ROOT / "deploy" / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_inhibition_names_alerts_that_exist() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            assert set(re.findall(r"Eddyline\w+", matcher)) <= set(NAMES)


def test_the_key_to_runbooks_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another site in pyproject.toml, and `make generate`, lead all links there."""
    script = runpy.run_path(str(ROOT / "scripts" / "generate.py"))
    (tmp_path / "observability").mkdir()
    project = '[tool.eddyline]\ndocuments = "https://wiki.example/eddyline"\n'
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "observability" / "alerts.yml").write_text((FOLDER / "alerts.yml").read_text())
    monkeypatch.setitem(script["runbooks"].__globals__, "ROOT", tmp_path)
    links = re.findall(r"runbook_url: (\S+)", script["runbooks"]([]))
    base = "https://wiki.example/eddyline/operate/runbooks.html#"
    assert links == [f"{base}{name.lower()}" for name in NAMES]
