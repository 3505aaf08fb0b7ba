"""The dashboards: kept as the code makes them, each number of a metric that exists."""

import json
import runpy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import promql
import pytest

from eddyline.service.registry import registrations

FOLDER = Path(__file__).parents[1] / "observability"
SERVICES = set(registrations())

KEPT: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text()) for file in (FOLDER / "dashboards").glob("*.json")
}
NAMES = sorted(KEPT)


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """With the title of the panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_what_is_kept_is_what_the_code_makes() -> None:
    made = runpy.run_path(str(FOLDER / "make_dashboards.py"))["dashboards"]()
    assert made == KEPT, "make generate was not run"


def test_there_is_one_of_the_suite_and_one_of_each_service() -> None:
    assert set(KEPT) == {"suite"} | SERVICES
    assert len({dashboard["uid"] for dashboard in KEPT.values()}) == len(KEPT)


@pytest.mark.parametrize("name", NAMES)
def test_each_expression_is_of_metrics_and_labels_that_exist(name: str) -> None:
    found = [(t, e, f) for t, e in expressions(KEPT[name]) for f in promql.faults(e)]
    assert found == []


def test_each_metric_is_on_a_dashboard() -> None:
    shown = {m for d in KEPT.values() for _, e in expressions(d) for m, _ in promql.selectors(e)}
    missing = []
    for metric in promql.known():
        base = metric.removesuffix("_sum").removesuffix("_count").removesuffix("_bucket")
        if not any(name.startswith(base) for name in shown):
            missing.append(metric)
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_a_services_panels_select_its_streams(name: str) -> None:
    for title, expression in expressions(KEPT[name]):
        for metric, labels in promql.selectors(expression):
            if "service" in promql.known()[metric] and name in SERVICES:
                assert "service" in labels, title
                assert f'service="{name}"' in expression
            if metric != "ALERTS":
                assert {"namespace", "job", "instance"} <= labels, title


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_can_be_read(name: str) -> None:
    dashboard = KEPT[name]
    titles = [panel["title"] for panel in panels(dashboard)]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(dashboard):
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]
    assert titles


@pytest.mark.parametrize("name", NAMES)
def test_no_panel_covers_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in KEPT[name]["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("name", NAMES)
def test_a_legend_shows_labels_that_its_lines_have(name: str) -> None:
    for panel in panels(KEPT[name]):
        for target in panel["targets"]:
            labels = {word.split("}}")[0] for word in target["legendFormat"].split("{{")[1:]}
            grouped = promql.groupings(target["expr"])
            assert labels <= (grouped or promql.TARGET), panel["title"]


def test_prometheus_takes_each_expression(tool: Callable[..., str], tmp_path: Path) -> None:
    """As recording rules: promtool checks the syntax of those."""
    every = {expression for d in KEPT.values() for _, expression in expressions(d)}
    rules = [
        {"record": f"panel:{n}", "expr": e.replace("$__rate_interval", "1m")}
        for n, e in enumerate(sorted(every))
    ]
    file = tmp_path / "panels.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [tool("promtool"), "check", "rules", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(rate(eddyline_sent_bytes[1m]))", "there is no metric eddyline_sent_bytes"),
        ('eddyline_streams_open{servce="events"}', "eddyline_streams_open has no label servce"),
        (
            "sum by (reason) (eddyline_streams_open)",
            "no metric there has a label reason",
        ),
        ("time() - (eddyline_bus_proven_timestamp_seconds > 0) or vector(0)", None),
        ('sum(up{job="a, b"} offset 5m) unless on (job) up', None),
    ],
)
def test_the_check_itself(expression: str, fault: str | None) -> None:
    assert promql.faults(expression) == ([fault] if fault else [])
