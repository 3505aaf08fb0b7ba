"""The verdict names each fault, and none of a good run."""

from pathlib import Path

import pytest

from loadtests.knobs import THRESHOLDS
from loadtests.measures import Measures
from loadtests.verdict import BadThresholds, Thresholds, table


@pytest.fixture
def good() -> Measures:
    measures = Measures()
    measures.kinds["events"].received = 1000
    measures.histograms["event latency"].add(0.002)
    return measures


def faults(measures: Measures) -> list[str]:
    return Thresholds.read(THRESHOLDS).faults(measures)


def test_a_good_run_has_no_faults(good: Measures) -> None:
    assert faults(good) == []


@pytest.mark.parametrize(
    ("kind", "counter", "number", "text"),
    [
        ("events", "lost", 3, "events: lost 3 events"),
        ("events", "repeated", 1, "events: 1 event came twice"),
        ("records", "reordered", 2, "records: 2 rows came out of order"),
        ("logs", "stalled", 1, "logs: 1 silence was too long"),
        ("events", "dirty", 1, "events: 1 stream was cut"),
        ("events", "resets", 2, "events: 2 streams were told of a gap"),
        ("chat", "refused", 5, "chat: 5 requests were refused"),
    ],
)
def test_what_was_counted_is_named(
    good: Measures, kind: str, counter: str, number: int, text: str
) -> None:
    setattr(good.kinds[kind], counter, number)
    assert faults(good) == [text]


def test_what_failed_is_named_with_the_reasons(good: Measures) -> None:
    good.kinds["chat"].failed = 3
    good.note("chat: status 500", 2)
    good.note("chat: no answer: timed out")
    good.note("logs: status 404")
    [fault] = faults(good)
    assert fault.splitlines() == [
        "chat: 3 requests failed",
        "    status 500 (2)",
        "    no answer: timed out (1)",
    ]


def test_what_belongs_to_no_kind_is_named_too(good: Measures) -> None:
    good.note("workers that did not report: 1")
    assert faults(good) == ["workers that did not report: 1"]


def test_slowness_is_named(good: Measures) -> None:
    for _ in range(10):
        good.histograms["event latency"].add(0.8)
    [fault] = faults(good)
    assert fault == "event latency: p99 800 ms, more than 250 ms"


def test_a_run_that_received_nothing_proves_nothing(good: Measures) -> None:
    assert faults(Measures()) == ["nothing was received"]
    good.kinds["logs"].open = 2
    assert faults(good) == ["logs: nothing was received"]


def test_nothing_is_still_nothing_when_the_users_are_stopped(good: Measures) -> None:
    good.begin()
    good.kinds["events"].received = 1000
    good.kinds["logs"].open = 2
    good.end()
    good.kinds["logs"].open = 0
    assert faults(good) == ["logs: nothing was received"]
    good.begin()
    good.kinds["events"].received = 1000
    assert faults(good) == []


def test_one_kind_may_have_its_own_thresholds(good: Measures, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text("[most]\nrefused = 0\n[most.chat]\nrefused = 4\n")
    good.kinds["chat"].refused = 4
    assert Thresholds.read(path).faults(good) == []
    good.kinds["chat"].refused = 5
    good.kinds["logs"].refused = 1
    assert Thresholds.read(path).faults(good) == [
        "chat: 5 requests were refused, more than 4",
        "logs: 1 request was refused",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[least]\nlost = 1", "least is none of most, seconds"),
        ("[most]\nlots = 1", "most.lots is none of lost"),
        ("[most.chat]\nlots = 1", "most.chat.lots is none of lost"),
        ("[most]\nlost = '3'", "most.lost is '3', expected a number"),
        ("[most]\nlost = true", "most.lost is True, expected a number"),
        ("[most]\nlost = nan", "most.lost is nan, expected a number"),
        ("[most]\nlost = -1", "most.lost is -1, expected a number of 0 or more"),
        ("[most]\nchat = 3", "most.chat is 3, expected a table"),
        ("most = 3", "most is 3, expected a table"),
        ("[seconds]\nconnect = {p98 = 1}", "seconds.connect.p98 is none of p50"),
        ("[seconds]\nconect = {p99 = 1}", "seconds.conect is none of client lag, connect"),
        ("[seconds]\nconnect = {p99 = '1'}", "seconds.connect.p99 is '1', expected a number"),
        ("[seconds]\n'event latency' = 0.25", "seconds.event latency is 0.25, expected a table"),
        ("seconds = 1", "seconds is 1, expected a table"),
        ("most = ", "Invalid value"),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text(text)
    with pytest.raises(BadThresholds) as refused:
        Thresholds.read(path)
    assert str(refused.value).startswith(f"{path}: {message}")


def test_the_table_has_what_was_used(good: Measures) -> None:
    text = table(good.snapshot())
    assert text.splitlines()[0].split()[:3] == ["open", "received", "lost"]
    assert text.splitlines()[1].split()[:3] == ["events", "0", "1000"]
    assert "chat" not in text
