import asyncio
import os
import resource
import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from eddyline.tasks import background
from eddyline.telemetry import process as process_metrics
from eddyline.testing import eventually

MiB = 1024 * 1024


def value(name: str) -> float:
    return REGISTRY.get_sample_value(f"eddyline_{name}") or 0.0


async def test_what_the_process_uses_is_there_at_once_and_the_loops_lag_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_metrics, "INTERVAL", 0.01)
    lags, before = value("event_loop_lag_seconds_sum"), value("process_cpu_seconds_total")
    looks = value("event_loop_lag_seconds_count")
    async with background(process_metrics.watch()):
        await eventually(lambda: value("event_loop_lag_seconds_count") > looks)
        assert 10 * MiB < value("process_memory_bytes") < value("process_memory_limit_bytes")
        assert value("process_open_files") == pytest.approx(len(os.listdir("/proc/self/fd")), abs=3)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert value("process_open_files_limit") == soft
        # A loop that is held is measured: each look that it missed, too. Servers in other threads
        # of this process may be measured meanwhile.
        time.sleep(0.3)  # sleep: it holds the loop
        await eventually(lambda: value("event_loop_lag_seconds_sum") - lags > 0.3 * 30 / 2 * 0.9)
        # Of this process: since its start, not since the watch began.
        await eventually(lambda: value("process_cpu_seconds_total") - before > 0.2)


async def test_a_process_that_ended_in_order_is_counted() -> None:
    starts, ends = value("process_starts_total"), value("process_ends_total")
    async with background(process_metrics.watch()):
        await eventually(lambda: value("process_starts_total") - starts == 1)
        assert value("process_ends_total") == ends
    assert value("process_ends_total") - ends == 1


def test_memory_that_is_used_shows() -> None:
    before = process_metrics.resident_bytes()
    held = b"x" * (64 * MiB)
    after = process_metrics.resident_bytes()
    assert before is not None
    assert after is not None
    assert after - before > 0.9 * len(held)


def test_files_are_counted_where_the_kernel_does_not_count_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = process_metrics.open_files()
    empty = os.stat_result([0] * 10)
    monkeypatch.setattr(process_metrics.os, "stat", lambda _: empty)
    with open(os.devnull):
        counted = process_metrics.open_files()
    assert known is not None
    assert counted is not None
    assert abs(counted - known - 1) <= 2


@pytest.mark.parametrize(("text", "limit"), [("134217728\n", 128 * MiB), ("max\n", None)])
def test_the_memory_limit_is_the_containers_or_the_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, limit: int | None
) -> None:
    file = tmp_path / "memory.max"
    file.write_text(text)
    monkeypatch.setattr(process_metrics, "_MEMORY_LIMITS", (tmp_path / "absent", file))
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert process_metrics.memory_limit() == (limit or machine)


async def test_where_the_system_does_not_tell_nothing_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_metrics, "INTERVAL", 0.01)
    monkeypatch.setattr(process_metrics, "resident_bytes", lambda: None)
    monkeypatch.setattr(process_metrics, "open_files", lambda: None)
    async with background(process_metrics.watch()):
        looks = value("event_loop_lag_seconds_count")
        await eventually(lambda: value("event_loop_lag_seconds_count") > looks)
        await asyncio.sleep(0)
