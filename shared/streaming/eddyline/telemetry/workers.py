"""Metrics of gunicorn's workers: each counts in the files of a slot, which the next one takes over.

prometheus_client names a file by its process, keeps the files of every process that ever lived, and
reads them all for each scrape. Named by slots there are as many files as workers that ran at the
same time, and a new worker counts on from where the dead one stopped.
"""

import os
import re
import struct
import tempfile
from collections.abc import Iterable
from glob import glob
from pathlib import Path

from prometheus_client import Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

#: The names that prometheus_client gives to the files of our types of metric.
_FILES = re.compile(r"(counter|histogram|gauge_[a-z]+)_[0-9-]+\.db")

_slot: str | None = None


def multiprocess() -> bool:
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


def _name() -> str:
    """The name of this process in the names of its files; no two that live may share one."""
    return _slot or str(os.getpid())


if multiprocess():
    # Before the first metric is made: a metric takes the class that it finds.
    values.ValueClass = values.MultiProcessValue(process_identifier=_name)  # type: ignore[no-untyped-call]


def clear_folder(folder: Path) -> None:
    """Removes the workers' files of an earlier life, and makes the folder where it is missing.

    Other files stay: the user chose the folder. Raises OSError where it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
    for file in folder.iterdir():
        if _FILES.fullmatch(file.name):
            file.unlink()


def take_slot(slot: str) -> None:
    """Makes this process the owner of a slot; called in a new worker before it has any metric."""
    global _slot
    _slot = slot
    if multiprocess():
        free_slot(slot)  # a worker that died unnoticed has left its gauges
        for file in glob(f"{os.environ['PROMETHEUS_MULTIPROC_DIR']}/*_{slot}.db"):
            if not _is_sound(file):
                os.unlink(file)


def free_slot(slot: str) -> None:
    """Removes the live gauges of a slot whose worker is dead; its counters stay."""
    if multiprocess():
        mark_process_dead(slot)  # type: ignore[no-untyped-call]


class WorkersCollector(Collector):
    """The sums over all slots: of workers that live and of those that died."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        # Always in the same order: another one could round a sum down by its last bit, which
        # Prometheus takes for a counter that began anew.
        files = sorted(filter(_is_sound, glob(f"{self._folder}/*.db")))
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


def _is_sound(file: str) -> bool:
    """Whether a file holds entries: a new one holds none, and one that is listed can be gone."""
    try:
        keys = [key for key, *_ in MmapedDict.read_all_values_from_file(file)]  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError, ValueError, struct.error):
        return False
    return bool(keys) and all(key.startswith("[") for key in keys)  # they are JSON lists
