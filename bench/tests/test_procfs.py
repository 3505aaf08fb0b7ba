"""Reading /proc: of a made-up machine, and of this process."""

import os
import time
from pathlib import Path

import pytest

from bench import procfs


def process(proc: Path, pid: int, parent: int, command: str = "server") -> Path:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(
        f"{pid} ({command}) S {parent} 1 1 0 -1 0 0 0 0 0 7 5 0 0 20 0 1 0\n"
    )
    (folder / "smaps_rollup").write_text(
        "0-f ---p 0 00:00 0 [rollup]\nRss:  900 kB\nPss:  300 kB\n"
    )
    (folder / "status").write_text(
        "Name:\tserver\nVmPeak:\t  99 kB\nVmHWM:\t  512 kB\nVmRSS:\t 1 kB\n"
    )
    return folder


def test_the_tree_holds_all_descendants_and_no_one_else(tmp_path: Path) -> None:
    for pid, parent in ((10, 1), (11, 10), (12, 11), (13, 1)):
        process(tmp_path, pid, parent)
    (tmp_path / "self").mkdir()
    assert procfs.tree(10, tmp_path) == [10, 11, 12]


def test_a_command_may_hold_brackets_and_spaces(tmp_path: Path) -> None:
    process(tmp_path, 10, 1)
    process(tmp_path, 11, 10, command="a) R 1 (b")
    assert procfs.tree(10, tmp_path) == [10, 11]


def test_memory_counts_shared_pages_once(tmp_path: Path) -> None:
    for pid in (10, 11):
        process(tmp_path, pid, 1)
    assert procfs.memory([10, 11], tmp_path) == 2 * 300 * 1024
    assert procfs.peak_memory([10], tmp_path) == 512 * 1024


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    (process(tmp_path, 10, 1) / "status").write_text("Name:\tserver\n")
    with pytest.raises(ValueError, match="no VmHWM"):
        procfs.peak_memory([10], tmp_path)


def test_tcp_memory_is_pages(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/sockstat").write_text(
        "sockets: used 10\nTCP: inuse 1 orphan 0 tw 1 alloc 1 mem 130\nUDP: inuse 0 mem 2\n"
    )
    assert procfs.tcp_memory(tmp_path) == 130 * procfs.PAGE


def test_cpu_seconds_is_the_process_clock() -> None:
    before = time.process_time()
    measured = procfs.cpu_seconds([os.getpid()])
    assert before <= measured <= time.process_time()


def test_the_peak_can_be_forgotten() -> None:
    own = [os.getpid()]
    procfs.forget_peak(own)
    assert procfs.peak_memory(own) > 0
