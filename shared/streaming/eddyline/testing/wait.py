"""Waiting for a condition, and a free port.

A test waits for a condition, never for a fixed time: `scripts/check_sleeps.py`.
"""

import asyncio
import inspect
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

#: Seconds after which a test that waits has failed.
PATIENCE = 20.0


async def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Waits until `condition()` is true, and returns its value; TimeoutError otherwise.

    `condition` may be a coroutine function: its result counts.
    """
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.005)  # sleep: between two looks at a condition


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """`eventually` for code that blocks."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.02)  # sleep: between two looks at a condition
    return value


def free_port() -> int:
    """A port for a server that a test starts.

    It lies below the range from which systems take ports themselves. One of that range could be
    taken by any connection of another test before the server has it.
    """
    while True:
        port = 10_000 + secrets.randbelow(12_000)  # a Redis of a cluster takes port + 10,000, too
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
