import random
import runpy
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.exposition import generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from eddyline.telemetry import metrics, workers
from eddyline.telemetry.workers import WorkersCollector, take_slot


def write(folder: Path, prefix: str, slot: object, timestamp: float = 0.0, **some: float) -> Path:
    """A worker's file, as prometheus_client writes it."""
    file = folder / f"{prefix}_{slot}.db"
    written = MmapedDict(str(file))
    for name, value in some.items():
        written.write_value(
            mmap_key(name, name, ["kind"], ["pull"], "What it is"), value, timestamp
        )
    written.close()
    return file


def scrape(folder: Path) -> dict[str, float]:
    registry = CollectorRegistry(support_collectors_without_names=True)
    registry.register(WorkersCollector(str(folder)))
    lines = generate_latest(registry).decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(workers, "_slot", None)
    return tmp_path


class Life:
    """One worker's life in a slot: takes it, makes its metrics there, and dies without a word."""

    def __init__(self, slot: str) -> None:
        take_slot(slot)
        values.ValueClass = values.MultiProcessValue(process_identifier=lambda: slot)
        made: dict[str, Any] = {"registry": CollectorRegistry()}
        self.counter = Counter("a", "A", **made)
        self.histogram = Histogram("d", "D", buckets=(0.5,), **made)
        self.recent = Gauge("c", "C", multiprocess_mode="mostrecent", **made)
        self.open = Gauge("b", "B", multiprocess_mode="livesum", **made)


def test_the_next_life_counts_on_where_the_last_one_stopped(folder: Path) -> None:
    for life in range(1, 4):
        worker = Life("7-0")
        worker.counter.inc(life)
        worker.histogram.observe(life / 4)
        worker.recent.set(life)
    assert scrape(folder) == {
        "a_total": 6,
        "d_sum": 1.5,
        "d_count": 3,
        'd_bucket{le="0.5"}': 2,
        'd_bucket{le="+Inf"}': 3,
        "c": 3,
        "b": 0,
    }
    prefixes = ("counter", "histogram", "gauge_mostrecent", "gauge_livesum")
    assert names(folder) == {f"{prefix}_7-0.db" for prefix in prefixes}


MASTER = """
import os, runpy, signal, sys
from types import SimpleNamespace

hooks = runpy.run_module("eddyline.server.gunicorn")
server = SimpleNamespace(WORKERS={}, pid=os.getpid(), log=None)

def live(worker, counted):
    hooks["post_fork"](server, worker)
    from eddyline.telemetry import metrics
    meter = metrics.StreamMetrics("demo", "pull")
    for number in range(50):
        meter.begin()
        meter.first_byte.observe(0.3)
    os.write(counted, b".")
    signal.pause()

def spawn():
    worker = SimpleNamespace()
    hooks["pre_fork"](server, worker)
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        live(worker, writable)
    server.WORKERS[pid] = worker
    os.read(readable, 1)
    os.close(readable)
    os.close(writable)

for _ in range(40):
    spawn()
    if len(server.WORKERS) > 2:
        pid = min(server.WORKERS)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        hooks["child_exit"](server, server.WORKERS.pop(pid))
for pid in server.WORKERS:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def test_forty_killed_lives_are_counted_exactly_in_a_few_files(folder: Path) -> None:
    seen: list[dict[str, float]] = []
    with subprocess.Popen([sys.executable, "-c", MASTER]) as master:
        while master.poll() is None:
            seen.append(scrape(folder))
    assert master.returncode == 0
    labels = '{kind="pull",service="demo"}'
    assert scrape(folder)[f"eddyline_streams_started_total{labels}"] == 2000
    assert scrape(folder)[f"eddyline_first_byte_seconds_count{labels}"] == 2000
    assert scrape(folder)[f"eddyline_streams_open{labels}"] == 100  # of the last two
    assert {name.split("_")[-1] for name in names(folder)} == {
        f"{master.pid}-{slot}.db" for slot in range(3)
    }
    assert len(names(folder)) <= 15
    assert len(seen) > 10
    for before, after in pairwise(seen):
        grown = {k: v for k, v in before.items() if not k.startswith("eddyline_streams_open")}
        assert {k: (v, after.get(k)) for k, v in grown.items() if after.get(k, -1.0) < v} == {}


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1e12), min_size=3, max_size=8), st.randoms(use_true_random=False))
def test_no_order_of_the_files_makes_a_sum_sink(
    tmp_path_factory: pytest.TempPathFactory, some: list[float], chance: random.Random
) -> None:
    """A counter that is lower by the last bit has begun anew, to Prometheus."""
    folder = tmp_path_factory.mktemp("bits")
    before = 0.0
    listed = [str(write(folder, "counter", f"7-{n}", a_total=v)) for n, v in enumerate(some)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "glob", lambda _: chance.sample(listed, len(listed)))
        for _ in range(4):
            now = scrape(folder)['a_total{kind="pull"}']
            assert now >= before
            before = now


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_the_most_recent_value_is_kept_whoever_dies_first(
    folder: Path, hooks: SimpleNamespace, order: tuple[int, ...]
) -> None:
    write(folder, "gauge_mostrecent", "7-0", 1000.0, a=3)
    write(folder, "gauge_mostrecent", "7-1", 2000.0, a=2)
    write(folder, "gauge_mostrecent", "7-2", 0.0, a=0)  # it never set it
    for slot in order:
        hooks.end(f"7-{slot}")
        assert scrape(folder) == {'a{kind="pull"}': 2}


def test_a_worker_killed_while_it_makes_a_file_breaks_neither_scrapes_nor_its_successor(
    folder: Path,
) -> None:
    Life("7-0").counter.inc(5)
    whole = (folder / "counter_7-0.db").read_bytes()
    used = int.from_bytes(whole[:4], "little")
    for begun in (
        b"",  # opened
        bytes(len(whole)),  # given its size
        b"\x08" + bytes(len(whole) - 1),  # its head
        b"\x08" + bytes(7) + whole[8:used] + bytes(len(whole) - used),  # an entry not yet counted
    ):
        (folder / "counter_7-0.db").write_bytes(begun)
        assert scrape(folder).get("a_total", 0) == 0
        Life("7-0").counter.inc(1)
        assert scrape(folder)["a_total"] == 1


@pytest.mark.parametrize(
    "spoiled", [b"\xff" * 64, bytes(64), b"\x40" + bytes(63), b"[1]", b"\x09" * 5000]
)
def test_nonsense_in_a_file_fails_neither_scrapes_nor_the_next_life(
    folder: Path, spoiled: bytes
) -> None:
    write(folder, "counter", "7-1", a_total=1)
    (folder / "counter_7-0.db").write_bytes(spoiled)
    assert scrape(folder) == {'a_total{kind="pull"}': 1}
    Life("7-0").counter.inc(2)
    assert scrape(folder)["a_total"] == 2
    assert scrape(folder)['a_total{kind="pull"}'] == 1


def test_a_scrape_passes_over_a_file_that_is_just_being_made(tmp_path: Path) -> None:
    write(tmp_path, "counter", 11, a_total=1)
    (tmp_path / "counter_12.db").touch()
    (tmp_path / "gauge_livesum_13.db").symlink_to(tmp_path / "gone")  # listed, then removed
    assert scrape(tmp_path) == {'a_total{kind="pull"}': 1}


@pytest.fixture
def hooks(folder: Path) -> SimpleNamespace:
    """gunicorn's hooks, called for a master of pid 7; `end` returns its log."""
    module = runpy.run_module("eddyline.server.gunicorn")
    logged: list[str] = []
    log = SimpleNamespace(warning=lambda text, *values: logged.append(text % values))
    server = SimpleNamespace(WORKERS={}, pid=7, log=log)

    def start(pid: int) -> str:
        worker = SimpleNamespace()
        module["pre_fork"](server, worker)
        server.WORKERS[pid] = worker
        return str(worker.slot)

    def end(slot: str) -> list[str]:
        module["child_exit"](server, SimpleNamespace(slot=slot))
        return logged

    return SimpleNamespace(start=start, end=end, server=server)


def test_a_worker_gets_the_lowest_slot_that_is_free(hooks: SimpleNamespace) -> None:
    assert [hooks.start(pid) for pid in (11, 12, 13)] == ["7-0", "7-1", "7-2"]
    del hooks.server.WORKERS[12]
    assert [hooks.start(pid) for pid in (14, 15)] == ["7-1", "7-3"]


def test_workers_of_two_masters_share_no_slot(hooks: SimpleNamespace) -> None:
    old = hooks.start(11)
    hooks.server.pid, hooks.server.WORKERS = 8, {}  # USR2
    assert hooks.start(12) != old


def test_a_death_takes_live_gauges_too(folder: Path, hooks: SimpleNamespace) -> None:
    write(folder, "counter", "7-0", a_total=1)
    write(folder, "gauge_livesum", "7-0", b=1)
    write(folder, "gauge_livesum", "7-1", b=1)
    assert hooks.end("7-0") == []
    assert names(folder) == {"counter_7-0.db", "gauge_livesum_7-1.db"}


def test_a_dead_one_that_never_counted_is_no_matter(folder: Path, hooks: SimpleNamespace) -> None:
    assert hooks.end("7-0") == []
    assert names(folder) == set()


def test_live_gauges_of_a_death_that_nobody_noticed_go_with_the_next_life(folder: Path) -> None:
    Life("7-0").open.inc(3)
    Life("7-0").open.inc()
    assert scrape(folder)["b"] == 1


def test_nothing_in_the_folder_ends_the_master(
    folder: Path, hooks: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "counter", "7-0", a_total=1)
    (folder / "gauge_livesum_7-0.db").mkdir()
    assert "stay until its slot is taken" in hooks.end("7-0")[0]
    shutil.rmtree(folder)
    assert len(hooks.end("7-0")) == 1
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    assert len(hooks.end("7-0")) == 1


def test_every_metric_counts_on_or_ends_with_its_worker() -> None:
    suite = [metric for metric in vars(metrics).values() if hasattr(metric, "_type")]
    assert {metric._type for metric in suite} == {"counter", "gauge", "histogram"}
    modes = {metric._multiprocess_mode for metric in suite if isinstance(metric, Gauge)}
    assert {mode for mode in modes if not mode.startswith("live")} == {"mostrecent"}
