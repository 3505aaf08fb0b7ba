"""The suite over the floor, at the smallest scale: every step but the figures."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.report import durable
from bench.results import QUICK, Results
from bench.suite import Suite

TINY = replace(QUICK, subscribers=5, rates=(20,), burst=40, flood=60, deluge=80, seconds=0.2)


def test_fan_out_delivers_everything(programs: Path) -> None:
    suite = Suite(Results(TINY), programs, ["floor"])
    suite.run("fanout")
    assert [(row.rate, row.delivered, row.expected) for row in suite.results.fanout] == [
        (20, 20, 20),
        (40, 40, 40),
        (60, 60, 60),
        (80, 80, 80),
    ]
    assert all(row.cpu_us > 0 and row.publish_errors == 0 for row in suite.results.fanout)
    assert set(suite.results.when) == {"fanout"}


def test_a_missing_rival_is_skipped_with_the_way_to_get_it(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERCURE", "/nonexistent")
    suite = Suite(Results(TINY), programs, ["mercure"])
    suite.run("stall")
    assert suite.results.stall == []
    assert "to get it: https://mercure.rocks" in suite.results.skipped["stall: mercure"]


def test_the_files_are_gone_after_the_downloads(programs: Path) -> None:
    suite = Suite(Results(replace(TINY, file_bytes=4 << 20)), programs, ["FileResponse"])
    suite.run("types")
    (row,) = suite.results.types
    assert row.size == 4 << 20
    assert not (programs / "files").exists()


@pytest.mark.slow
def test_durable_streams_are_read_live_appended_to_and_caught_up_with(programs: Path) -> None:
    scale = replace(TINY, idle=5, file_bytes=2 << 20, publish_seconds=0.2)
    suite = Suite(Results(scale), programs, ["ours, memory"])
    suite.run("durable")
    results = suite.results
    assert not results.skipped
    live = [*results.durable, *results.durable_idle]
    assert [row.connections for row in live] == [5, 5, 5]
    assert all(row.delivered == row.expected for row in live)
    assert results.appends[0].per_second > 0
    assert results.caught_up[0].size == 2 << 20
    assert "ours, memory" in durable(results)
