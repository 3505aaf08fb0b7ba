"""Writes the demo log: as a task of the suite, or beside gunicorn as a process of its own.

One process whatever the number of workers; it ends with the server, however that ends.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from logs.demo import write_demo_log
from streaming.beside import beside


def writing(path: Path) -> Callable[[], AbstractAsyncContextManager[None]]:
    return lambda: beside(write_demo_log(path))


def spawn(path: Path) -> None:
    """Starts the writer; it reads a pipe that this process keeps open, also after an exec."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    # In a session of its own: the terminal's Ctrl-C is for the server.
    subprocess.Popen(
        [sys.executable, "-m", "standalone.log_writer", str(path)],
        stdin=read,
        start_new_session=True,
    )
    os.close(read)


async def main(path: Path) -> None:
    async with writing(path)():
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
