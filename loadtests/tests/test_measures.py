"""Counts and points are the same whether one process counted or several reported."""

import json
from typing import Any

import pytest

from loadtests.measures import Measures


def reported(worker: Measures) -> Any:
    return json.loads(json.dumps(worker.delta()))


def events(made: Measures, count: int, latency: float) -> None:
    for _ in range(count):
        made.kinds["events"].received += 1
        made.latency.add(latency)


def test_alone_a_point_is_there_when_its_second_is_over(clock: Any) -> None:
    alone = Measures()
    alone.begin()
    alone.kinds["events"].open = 2
    alone.kinds["logs"].open = 1
    events(alone, 10, 0.002)
    alone.kinds["logs"].received = 99
    assert alone.snapshot()["series"] == []
    clock(1001.0)
    alone.tick(1001.0)
    alone.kinds["events"].lost += 3
    alone.tick(1002.5)
    near = pytest.approx(0.002, rel=0.05)
    open = {"events": 2, "logs": 1, "chat": 0, "records": 0, "downloads": 0}
    assert alone.snapshot()["series"] == [
        {"t": 0, "open": open, "events": 10, "p50": near, "p99": near, "lost": 0, "repeated": 0},
        {"t": 1, "open": open, "events": 0, "p50": 0, "p99": 0, "lost": 3, "repeated": 0},
    ]
    assert alone.snapshot()["histograms"]["event latency"]["count"] == 10


def test_the_master_adds_up_what_is_new_of_each_worker(clock: Any) -> None:
    master, left, right = Measures("master"), Measures("worker"), Measures("worker")
    for made in (master, left, right):
        made.begin()
    for worker, latency in ((left, 0.001), (right, 0.100)):
        worker.kinds["events"].open = 5
        worker.histograms["connect"].add(latency)
        events(worker, 50, latency)
        worker.tick(1001.0)
    clock(1002.5)
    for worker in (left, right):
        master.merge(reported(worker))
    left.kinds["events"].open = 4
    left.kinds["events"].repeated += 1
    clock(1003.5)
    for worker in (left, right):
        master.merge(reported(worker))
    whole = master.snapshot()
    assert (
        whole["kinds"]["events"] | {"open": 9, "received": 100, "repeated": 1}
        == (whole["kinds"]["events"])
    )
    assert whole["histograms"]["connect"]["count"] == 2
    assert whole["histograms"]["event latency"]["p99"] == pytest.approx(0.1, rel=0.01)
    assert whole["series"] == []  # a report may still come
    master.end()
    points = master.snapshot()["series"]
    assert [point["t"] for point in points] == [0, 1, 2]
    assert [point["open"]["events"] for point in points] == [10, 10, 9]
    assert points[0]["events"] == 100
    assert points[0]["p99"] == pytest.approx(0.1, rel=0.01)
    assert points[2]["repeated"] == 1


def test_a_new_run_begins_with_nothing_but_what_is_open(clock: Any) -> None:
    master, worker = Measures("master"), Measures("worker")
    worker.kinds["logs"].open = 2
    worker.kinds["logs"].lost = 7
    master.merge(reported(worker))
    for made in (master, worker):
        made.begin()
    worker.kinds["logs"].open = 0
    worker.kinds["logs"].received = 5
    master.merge(reported(worker))
    assert master.kinds["logs"].values() == Measures().kinds["logs"].values() | {"received": 5}


def test_what_a_worker_had_open_goes_with_it(clock: Any) -> None:
    master, left, right = Measures("master"), Measures("worker"), Measures("worker")
    master.begin()
    for name, worker in (("left", left), ("right", right)):
        worker.kinds["logs"].open = 3
        worker.kinds["logs"].lost = 1
        master.merge(reported(worker), name)
    left.kinds["logs"].open = 5
    master.merge(reported(left), "left")
    assert master.keep(["left", "right"]) == set()
    assert master.kinds["logs"].open == 8
    assert master.keep(["right"]) == {"left"}
    assert (master.kinds["logs"].open, master.kinds["logs"].lost) == (3, 2)
    assert master.keep(["right"]) == set()


def test_of_how_a_run_is_stopped_nothing_is_told(clock: Any) -> None:
    master, worker = Measures("master"), Measures("worker")
    for made in (master, worker):
        made.begin()
    worker.kinds["logs"].open = 7
    worker.tick(1001.0)
    master.merge(reported(worker))
    clock(1001.2)
    master.end()
    before = master.snapshot()
    worker.kinds["logs"].open = 0
    worker.tick(1003.0)
    clock(1020.0)
    master.merge(reported(worker))
    master.tick(1020.0)
    assert master.snapshot() == before
    assert before["kinds"]["logs"]["open"] == 7


def test_a_report_that_is_too_late_changes_no_point(clock: Any) -> None:
    master, worker = Measures("master"), Measures("worker")
    for made in (master, worker):
        made.begin()
    worker.tick(1001.0)
    late = reported(worker)
    master.merge(late)
    clock(1020.0)
    master.tick(1020.0)
    master.merge(late)
    master.tick(1021.0)
    assert [point["t"] for point in master.snapshot()["series"]] == [0]


def test_a_snapshot_is_json_and_says_what_is_wrong() -> None:
    made = Measures()
    made.users = lambda: 12
    made.judge = lambda _: ["lost 3 events"]
    snapshot = json.loads(json.dumps(made.snapshot()))
    assert (snapshot["users"], snapshot["verdict"]) == (12, ["lost 3 events"])
