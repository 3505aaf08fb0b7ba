"""The kernel's view of a server: its processes, their CPU and memory; TCP's memory."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")


def stat_fields(text: str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the command before them may hold anything."""
    return text[text.rindex(")") + 2 :].split()


def tree(root: int, proc: Path = PROC) -> list[int]:
    """The process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                parent = int(stat_fields((entry / "stat").read_text())[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
            parents.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(parents.get(pid, []))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of the processes: as in /proc/PID/stat, but not in ticks of 10 ms.

    clock_getcpuclockid(3) answers the same clock number for a process.
    """
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def _kib(text: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"no {name} in {text[:80]!r}")
    return int(match[1])


def memory(pids: Iterable[int], proc: Path = PROC) -> int:
    """Bytes resident; pages that several of the processes share are counted once (Pss)."""
    return 1024 * sum(_kib((proc / str(p) / "smaps_rollup").read_text(), "Pss") for p in pids)


def peak_memory(pids: Iterable[int], proc: Path = PROC) -> int:
    """The most bytes that were ever resident, or since `forget_peak`."""
    return 1024 * sum(_kib((proc / str(p) / "status").read_text(), "VmHWM") for p in pids)


def forget_peak(pids: Iterable[int], proc: Path = PROC) -> None:
    for pid in pids:
        (proc / str(pid) / "clear_refs").write_text("5")


def tcp_memory(proc: Path = PROC) -> int:
    """Bytes that the sockets of the whole machine hold in the kernel."""
    match = re.search(r"^TCP:.* mem (\d+)", (proc / "net/sockstat").read_text(), re.MULTILINE)
    if match is None:
        raise ValueError("no TCP memory in /proc/net/sockstat")
    return int(match[1]) * PAGE
