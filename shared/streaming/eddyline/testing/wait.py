"""Waiting for a condition, and a free port."""

import asyncio
import socket
from collections.abc import Callable
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
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
