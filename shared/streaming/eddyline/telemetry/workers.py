"""Metrics of gunicorn's workers: what a dead one counted stays, its files do not.

prometheus_client keeps the files of every process that ever lived, and a scrape reads them all. So
gunicorn's master folds those of the dead into one of each type, of pid 0, which no process has.

Meanwhile a value is in two files, and files vanish: a lock keeps scrapes (shared) and folds
(exclusive) apart. Sums are exact, in whatever order: rounded ones would sink by a last bit in
every eighth fold, which Prometheus takes for a counter that began anew.
"""

import fcntl
import json
import os
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import glob
from math import fsum, isfinite
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.samples import Sample

#: Seconds that a fold waits for scrapes; gunicorn's master does nothing else meanwhile.
PATIENCE = 0.5

#: What outlives a worker, as the files are called: PREFIX_PID.db. Its live gauges don't, and
#: metrics.py has no others.
_SUMMED = ("counter", "histogram")
_MOST_RECENT = "gauge_mostrecent"

#: Files in the folder. A fold holds the turn while it waits for the lock: else scrapes that come
#: one upon another would never let it in.
_TURN = "turn"
_LOCK = "lock"

#: Key, value, timestamp. In a file of sums several values of one key add up.
Entry = tuple[str, float, float]

#: Dead workers that are not folded yet.
_dead: set[int] = set()


class WorkersCollector(MultiProcessCollector):
    """All workers, the dead included. It waits while the master folds: scrape in a thread."""

    def collect(self) -> Iterable[Metric]:
        folder = Path(self._path)
        with _locked(folder / _TURN, fcntl.LOCK_SH):
            pass
        with _locked(folder / _LOCK, fcntl.LOCK_SH):
            files = filter(_has_begun, glob(f"{self._path}/*.db"))
            metrics = self._read_metrics(files)  # type: ignore[no-untyped-call]
        for metric in metrics.values():
            if metric.type in _SUMMED:
                metric.samples = _added_up(metric.samples)
        collected: Iterable[Metric] = self._accumulate_metrics(metrics, True)  # type: ignore[no-untyped-call]
        return collected


def _has_begun(file: str) -> bool:
    """A worker's file is empty for a moment, and to prometheus_client broken."""
    try:
        return os.path.getsize(file) > 0
    except FileNotFoundError:  # live gauges of one that has died
        return False


def _added_up(samples: list[Sample]) -> list[Sample]:
    """One sample for each name and labels, so that nothing is left to prometheus_client's `+=`."""
    values = defaultdict(list)
    for sample in samples:
        values[sample.name, sample.labels].append(sample.value)  # here labels are tuples
    return [Sample(name, labels, fsum(some)) for (name, labels), some in values.items()]


def worker_died(pid: int, alive: Collection[int]) -> None:
    """Takes a worker out of the live gauges and folds what it counted; called by gunicorn's master.

    Raises OSError where that cannot be now (BlockingIOError: a scrape outlasts PATIENCE): the next
    call makes up for it.
    """
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
    _dead.add(pid)
    # A pid comes again one day: that worker counts on in the files that it finds.
    _dead.difference_update(alive)
    fold(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]), _dead)
    _dead.clear()


def fold(folder: Path, pids: Collection[int]) -> None:
    """Moves what these processes counted into the files of pid 0."""
    how = fcntl.LOCK_EX | fcntl.LOCK_NB
    with _locked(folder / _TURN, how), _locked(folder / _LOCK, how):
        for prefix in (*_SUMMED, _MOST_RECENT):
            files = [f for pid in pids if (f := folder / f"{prefix}_{pid}.db").exists()]
            if files:
                join = _newest if prefix == _MOST_RECENT else _sums
                _fold(files, folder / f"{prefix}_0.db", join)


def _fold(files: list[Path], target: Path, join: Callable[[list[Entry]], list[Entry]]) -> None:
    entries = join([entry for file in (target, *files) for entry in _read(file)])
    new = target.with_suffix(".new")
    # Not by a MmapedDict: writing to a mapped file on a full tmpfs is SIGBUS, and the master's end.
    new.write_bytes(_packed(entries))
    new.replace(target)
    for file in files:
        file.unlink()


@contextmanager
def _locked(file: Path, how: int) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                fcntl.flock(descriptor, how)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)


def _read(file: Path) -> Iterator[Entry]:
    """What can be read: a worker that was killed may leave half a file."""
    with suppress(FileNotFoundError, RuntimeError, ValueError, struct.error):
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
            json.loads(key)  # Once folded, a bad one would fail every scrape to come.
            if isfinite(value):
                yield key, value, timestamp


def _sums(entries: list[Entry]) -> list[Entry]:
    values = defaultdict(list)
    for key, value, _ in entries:
        values[key].append(value)
    return [(key, part, 0.0) for key, some in values.items() for part in _exact_sum(some)]


def _exact_sum(values: list[float]) -> Iterator[float]:
    """Their sum, in as many numbers as it takes to lose no bit; most often one."""
    yield (part := fsum(values))
    while part := fsum(values := [*values, -part]):
        yield part


def _newest(entries: list[Entry]) -> list[Entry]:
    return list({entry[0]: entry for entry in sorted(entries, key=lambda entry: entry[2])}.values())


def _packed(entries: list[Entry]) -> bytes:
    """A file as `prometheus_client.mmap_dict` reads it."""
    packed = []
    for key, value, timestamp in entries:
        text = key.encode()
        padded = text + b" " * (8 - (len(text) + 4) % 8)
        packed.append(struct.pack(f"i{len(padded)}sdd", len(text), padded, value, timestamp))
    body = b"".join(packed)
    return struct.pack("ii", 8 + len(body), 0) + body
