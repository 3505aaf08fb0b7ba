"""Waiting for a condition, and a free port."""

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

#: Seconds after which a test that waits has failed.
PATIENCE = 20.0


async def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Waits until `condition()` is true, and returns its value; TimeoutError otherwise."""
    async with asyncio.timeout(seconds):
        while not (value := condition()):
            await asyncio.sleep(0.005)
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
