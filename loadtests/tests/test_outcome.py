"""The last lines of a run: margins, faults, and one word; in JUnit a case for each bound."""

from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from loadtests.knobs import THRESHOLDS
from loadtests.measures import Measures
from loadtests.outcome import closing, write_junit
from loadtests.verdict import Thresholds


@pytest.fixture
def measures() -> Measures:
    measures = Measures()
    measures.begin()
    measures.kinds["events"].received = 1000
    measures.histograms["event latency"].add(0.196)
    measures.judge = Thresholds.read(THRESHOLDS).faults
    return measures


def lines(measures: Measures) -> list[str]:
    checks = Thresholds.read(THRESHOLDS).checks(measures)
    return closing(checks, measures.snapshot()["verdict"]).splitlines()


def test_a_good_run_ends_with_its_margins_and_one_word(measures: Measures) -> None:
    assert lines(measures) == ["event latency p99  196 ms of 250 ms", "PASSED"]


def test_a_bad_run_ends_with_its_faults_and_one_word(measures: Measures) -> None:
    measures.kinds["events"].lost = 2
    measures.histograms["publish"].add(0.4)
    assert lines(measures) == [
        "event latency p99  196 ms of 250 ms",
        "publish p99        400 ms of 250 ms",
        "FAILED: events: lost 2 events",
        "FAILED: publish: p99 400 ms, more than 250 ms",
        "FAILED",
    ]


def cases(measures: Measures, path: Path) -> tuple[dict[str, str], dict[str, str | None]]:
    """The attributes of the suite, and the failure of each case."""
    checks = Thresholds.read(THRESHOLDS).checks(measures)
    write_junit(path, checks, measures.snapshot())
    suite = xml.parse(path).getroot()
    found = {}
    for case in suite:
        failure = case.find("failure")
        name = f"{case.get('classname')} {case.get('name')}"
        found[name] = None if failure is None else failure.get("message")
    return dict(suite.attrib), found


def test_junit_has_a_case_for_each_bound(measures: Measures, tmp_path: Path) -> None:
    suite, found = cases(measures, tmp_path / "run.xml")
    assert (suite["tests"], suite["failures"]) == (str(len(found)), "0")
    assert set(found) == {
        *(f"events {name}" for name in ("lost", "repeated", "reordered", "stalled")),
        *(f"events {name}" for name in ("dirty", "resets", "refused", "failed")),
        "seconds event latency p99",
        "run all else",
    }


def test_junit_names_each_fault_where_it_belongs(measures: Measures, tmp_path: Path) -> None:
    measures.kinds["events"].lost = 2
    measures.note("workers that left: 1")
    suite, found = cases(measures, tmp_path / "run.xml")
    assert suite["failures"] == "2"
    assert found["events lost"] == "events: lost 2 events"
    assert found["run all else"] == "workers that left: 1"
    assert found["events repeated"] is None


def test_no_fault_of_a_verdict_is_missing_in_junit(measures: Measures, tmp_path: Path) -> None:
    measures.kinds["events"].received = 0
    _, found = cases(measures, tmp_path / "run.xml")
    assert found["run all else"] == "nothing was received"
