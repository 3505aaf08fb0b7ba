import fcntl
import runpy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from eddyline.telemetry import metrics
from eddyline.telemetry import workers as worker_metrics
from eddyline.telemetry.workers import WorkersCollector, fold

Write = Callable[..., Path]


def write(folder: Path, prefix: str, pid: int, timestamp: float = 0.0, **values: float) -> Path:
    """A worker's file, as prometheus_client writes it."""
    file = folder / f"{prefix}_{pid}.db"
    written = MmapedDict(str(file))
    for name, value in values.items():
        written.write_value(
            mmap_key(name, name, ["kind"], ["pull"], "What it is"), value, timestamp
        )
    written.close()
    return file


def scrape(folder: Path) -> dict[str, float]:
    registry = CollectorRegistry(support_collectors_without_names=True)
    WorkersCollector(registry, str(folder))
    lines = generate_latest(registry).decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} - {"lock", "turn"}


@contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, how)
        yield


def write_worker(folder: Path, pid: int) -> None:
    write(folder, "counter", pid, a_total=pid, b_total=0)
    write(folder, "gauge_mostrecent", pid, pid, c=pid)
    histogram = MmapedDict(str(folder / f"histogram_{pid}.db"))
    for name, labels, value in (
        ("d_sum", {}, pid / 10),
        ("d_bucket", {"le": "0.5"}, 1),
        ("d_bucket", {"le": "+Inf"}, 2),
    ):
        histogram.write_value(
            mmap_key("d", name, list(labels), list(labels.values()), "D"), value, 0
        )
    histogram.close()


def test_what_the_dead_counted_stays_and_their_files_go(tmp_path: Path) -> None:
    for pid in (11, 12, 13):
        write_worker(tmp_path, pid)
    before = scrape(tmp_path)
    assert before['a_total{kind="pull"}'] == 36
    assert before['b_total{kind="pull"}'] == 0
    assert before['d_bucket{le="+Inf"}'] == 9
    assert before["d_count"] == 9
    alive = {file: file.read_bytes() for file in tmp_path.glob("*_13.db")}
    for pid in (11, 12):
        fold(tmp_path, {pid})
        assert scrape(tmp_path) == before
    folded = {"counter_0.db", "histogram_0.db", "gauge_mostrecent_0.db"}
    assert names(tmp_path) == folded | {file.name for file in alive}
    assert all(file.read_bytes() == content for file, content in alive.items())


def test_a_dead_one_that_never_counted_is_no_matter(tmp_path: Path) -> None:
    fold(tmp_path, {11})
    assert names(tmp_path) == set()


@given(st.lists(st.floats(0, 1e12), min_size=4, max_size=8))
def test_a_fold_loses_no_bit(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    """A counter that is lower by the last bit has begun anew, to Prometheus."""
    folder = tmp_path_factory.mktemp("bits")
    for pid, value in enumerate(values, 1):
        write(folder, "counter", pid, a_total=value)
    before = scrape(folder)
    for pid in range(len(values), 1, -1):
        fold(folder, {pid})
        assert scrape(folder) == before


@pytest.mark.parametrize("order", [(11, 12, 13), (13, 12, 11)])
def test_the_most_recent_value_is_kept_whoever_dies_first(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    write(tmp_path, "gauge_mostrecent", 11, 1000.0, a=3)
    write(tmp_path, "gauge_mostrecent", 12, 2000.0, a=2)
    write(tmp_path, "gauge_mostrecent", 13, 0.0, a=0)  # it never set it
    for pid in order:
        fold(tmp_path, {pid})
        assert scrape(tmp_path) == {'a{kind="pull"}': 2}


def test_half_a_file_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write(tmp_path, "counter", 11, a_total=1, b_total=1).read_bytes()
    used = int.from_bytes(whole[:4], "little")
    for size in range(used + 1):
        (tmp_path / "counter_11.db").write_bytes(whole[:size])
        fold(tmp_path, {11})
    entry = (used - 8) // 2
    assert names(tmp_path) == {"counter_0.db"}
    assert scrape(tmp_path) == {'a_total{kind="pull"}': entry + 1, 'b_total{kind="pull"}': 1}


@pytest.mark.parametrize("spoiled", [b"\xff" * 64, bytes(64), b"\x40" + bytes(63), b"[1]"])
def test_nonsense_in_a_file_fails_neither_folds_nor_scrapes(tmp_path: Path, spoiled: bytes) -> None:
    write(tmp_path, "counter", 11, a_total=1)
    write(tmp_path, "counter", 12, a_total=float("nan"), b_total=float("inf"))
    (tmp_path / "counter_13.db").write_bytes(spoiled)
    fold(tmp_path, {11, 12, 13})
    assert names(tmp_path) == {"counter_0.db"}
    assert scrape(tmp_path) == {'a_total{kind="pull"}': 1}


def test_scrapes_see_each_value_once_while_folds_go_on(tmp_path: Path) -> None:
    for pid in range(1, 201):
        write(tmp_path, "counter", pid, a_total=1)
    seen, done = [], threading.Event()

    def scrapes() -> None:
        while not done.is_set():
            try:
                seen.append(scrape(tmp_path))
            except FileNotFoundError as error:
                seen.append(repr(error))

    thread = threading.Thread(target=scrapes)
    thread.start()
    try:
        for pid in range(1, 201):
            fold(tmp_path, {pid})
    finally:
        done.set()
        thread.join()
    assert len(seen) > 10
    assert [found for found in seen if found != {'a_total{kind="pull"}': 200}] == []


def test_a_scrape_waits_for_a_fold(tmp_path: Path) -> None:
    write(tmp_path, "counter", 11, a_total=1)
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(scrape(tmp_path)))
    with locked(tmp_path, fcntl.LOCK_EX):
        thread.start()
        thread.join(0.2)
        assert seen == []
    thread.join(10)
    assert seen == [{'a_total{kind="pull"}': 1}]


def test_a_scrape_passes_over_a_file_that_is_just_being_made(tmp_path: Path) -> None:
    write(tmp_path, "counter", 11, a_total=1)
    (tmp_path / "counter_12.db").touch()
    (tmp_path / "gauge_livesum_13.db").symlink_to(tmp_path / "gone")  # listed, then removed
    assert scrape(tmp_path) == {'a_total{kind="pull"}': 1}


@pytest.fixture
def child_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., list[str]]]:
    """gunicorn's hook: called with the pid of the dead and those alive, it returns what it logs."""
    hook = runpy.run_module("eddyline.server.gunicorn")["child_exit"]
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(worker_metrics, "PATIENCE", 0.05)

    def call(pid: int, *alive: int) -> list[str]:
        logged: list[str] = []
        log = SimpleNamespace(warning=lambda text, *values: logged.append(text % values))
        workers = dict.fromkeys(alive)
        hook(SimpleNamespace(WORKERS=workers, log=log), SimpleNamespace(pid=pid))
        return logged

    yield call
    worker_metrics._dead.clear()


def test_a_death_takes_live_gauges_too(tmp_path: Path, child_exit) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path, "counter", 11, a_total=1)
    write(tmp_path, "gauge_livesum", 11, b=1)
    write(tmp_path, "gauge_livesum", 12, b=1)
    assert child_exit(11, 12) == []
    assert names(tmp_path) == {"counter_0.db", "gauge_livesum_12.db"}


def test_the_master_does_not_wait_for_long_and_the_next_death_makes_up(  # type: ignore[no-untyped-def]
    tmp_path: Path, child_exit
) -> None:
    for pid in (11, 12, 13):
        write(tmp_path, "counter", pid, a_total=1)
    with locked(tmp_path, fcntl.LOCK_SH):  # a scrape that hangs
        assert "not folded yet: BlockingIOError" in child_exit(11)[0]
        assert scrape(tmp_path) == {'a_total{kind="pull"}': 3}
    assert child_exit(12) == []
    assert names(tmp_path) == {"counter_0.db", "counter_13.db"}
    assert scrape(tmp_path) == {'a_total{kind="pull"}': 3}


def test_a_pid_that_lives_again_is_let_be(tmp_path: Path, child_exit) -> None:  # type: ignore[no-untyped-def]
    for pid in (11, 12):
        write(tmp_path, "counter", pid, a_total=1)
    with locked(tmp_path, fcntl.LOCK_SH):
        assert child_exit(11) != []
    assert child_exit(12, 11) == []
    assert names(tmp_path) == {"counter_0.db", "counter_11.db"}


def test_nothing_in_the_folder_ends_the_master(  # type: ignore[no-untyped-def]
    tmp_path: Path, child_exit, monkeypatch
) -> None:
    write(tmp_path, "counter", 11, a_total=1)
    (tmp_path / "counter_0.new").mkdir()  # as a full tmpfs: it cannot be written
    assert "not folded yet: IsADirectoryError" in child_exit(11)[0]
    assert scrape(tmp_path) == {'a_total{kind="pull"}': 1}
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "gone"))
    assert "FileNotFoundError" in child_exit(11)[0]
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    assert child_exit(11) == []


def test_every_metric_is_folded_or_ends_with_its_worker() -> None:
    suite = [metric for metric in vars(metrics).values() if hasattr(metric, "_type")]
    assert {metric._type for metric in suite} == {"counter", "gauge", "histogram"}
    modes = {metric._multiprocess_mode for metric in suite if isinstance(metric, Gauge)}
    assert {mode for mode in modes if not mode.startswith("live")} == {"mostrecent"}
