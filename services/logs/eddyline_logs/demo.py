"""A log that writes itself: something to follow where nothing else logs."""

import asyncio
import fcntl
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from eddyline.tasks import background

#: Bytes at which the log is rotated by rename, as a real one is.
_ROTATE_AT = 1024 * 1024

_LINES = (
    ("INFO", "GET /users/{n} 200 {ms}ms"),
    ("INFO", "POST /orders 201 {ms}ms order={n}"),
    ("DEBUG", "cache miss key=user:{n}"),
    ("WARNING", "slow query took {ms}ms rows={n}"),
    ("ERROR", "payment {n} declined after {ms}ms"),
)
_WEIGHTS = (60, 20, 12, 6, 2)


@asynccontextmanager
async def demo_log(path: Path, interval: float = 1.0) -> AsyncIterator[None]:
    """Appends a line each `interval` seconds, more or less. Of several processes one does, and
    another once that one is gone. Raises OSError where there can be no such file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.open("a").close()
    # The folder is the lock: a file beside the log would be a source where the folder is one.
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        async with background(_write(path, folder, interval)):
            yield
    finally:
        os.close(folder)


async def _write(path: Path, folder: int, interval: float) -> None:
    while not _locked(folder):
        await asyncio.sleep(interval)
    while True:
        with suppress(OSError):  # a full disk may have room again
            append(path, line())
        await asyncio.sleep(interval * random.uniform(0.5, 1.5))


def _locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def line() -> str:
    [(level, text)] = random.choices(_LINES, _WEIGHTS)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    milliseconds = int(random.lognormvariate(3, 1))
    return f"{stamp} {level} {text.format(n=random.randint(1, 9999), ms=milliseconds)}"


def append(path: Path, text: str, rotate_at: int = _ROTATE_AT) -> None:
    if path.exists() and path.stat().st_size >= rotate_at:
        path.rename(path.with_name(path.name + ".1"))
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")
