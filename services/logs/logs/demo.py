"""A log that writes itself, for standalone: something to follow on a laptop where nothing else
logs.
"""

import asyncio
import random
import time
from pathlib import Path

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


async def write_demo_log(path: Path, interval: float = 1.0) -> None:
    """Appends a line each `interval` seconds, more or less, until it is cancelled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        append(path, line())
        await asyncio.sleep(interval * random.uniform(0.5, 1.5))


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
