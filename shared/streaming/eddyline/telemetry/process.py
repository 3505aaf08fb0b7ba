"""The resources that a process uses: memory, CPU, open files, and how late its event loop is.

prometheus_client tells some of it, but not under several workers.
"""

import asyncio
import os
import resource
import time
from pathlib import Path

from eddyline.telemetry import metrics

#: Seconds between looks at the event loop's lateness, and how many of them to one look at the rest.
INTERVAL = 1.0
LOOKS = 10

#: The container's memory limit: cgroup v2, v1.
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


async def watch() -> None:
    """Samples until it is cancelled."""
    metrics.memory_limit.set(memory_limit())
    metrics.open_files_limit.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    metrics.process_starts.inc()
    try:
        await asyncio.gather(_watch_process(), _watch_loop())
    finally:
        metrics.process_ends.inc()


async def _watch_process() -> None:
    cpu = 0.0
    while True:
        # Before Linux 6.2 counting 15,000 open files takes 30 ms.
        cpu = await asyncio.to_thread(_sample, cpu)
        await asyncio.sleep(LOOKS * INTERVAL)


async def _watch_loop() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + INTERVAL
        await asyncio.sleep(INTERVAL)
        _observe_lag(loop.time() - due)


def _observe_lag(late: float) -> None:
    """Counts the looks that were missed, too: a loop that stood still was late all the time."""
    metrics.event_loop_lag.observe(max(0.0, late))
    while (late := late - INTERVAL) > 0:
        metrics.event_loop_lag.observe(late)


def _sample(cpu_before: float) -> float:
    """Returns the CPU seconds so far."""
    if (resident := resident_bytes()) is not None:
        metrics.memory.set(resident)
    if (files := open_files()) is not None:
        metrics.open_files.set(files)
    cpu = time.process_time()
    metrics.cpu_seconds.inc(cpu - cpu_before)
    return cpu


def resident_bytes() -> int | None:
    """The resident memory of this process; None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_bytes().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int | None:
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    except OSError:
        return None


def memory_limit() -> int:
    """The container's, or the machine's memory; bytes."""
    limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in _MEMORY_LIMITS:
        # "max": none; v1 writes a number beyond any machine's memory.
        if file.exists() and (text := file.read_text().strip()).isdigit():
            limit = min(limit, int(text))
    return limit
