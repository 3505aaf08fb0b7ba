"""Files sent through an asyncio transport: by sendfile(2) where it can, else by large reads."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from eddyline.connection.base import (
    StreamClosed,
    StreamStalled,
)
from eddyline.connection.transport import _LINUX, reset

#: Bytes of a file that are sent between two looks at it, and that sendfile(2) is asked for at once.
SLICE = 4 * 1024 * 1024

#: Bytes of one read where sendfile(2) cannot be used.
READ = 512 * 1024

_TCP_INFO_SIZE = 128
_BYTES_ACKED = 120  # offset of tcpi_bytes_acked in struct tcp_info (linux/tcp.h)


def slices(offset: int, count: int) -> Iterator[tuple[int, int]]:
    """The offsets and sizes of the slices of `count` bytes from `offset` on."""
    for start in range(offset, offset + count, SLICE):
        yield start, min(SLICE, offset + count - start)


def acked(transport: asyncio.Transport) -> int:
    """Bytes that the peer has acknowledged so far; -1 where the system does not tell."""
    sock = transport.get_extra_info("socket")
    if not _LINUX or sock is None or sock.family == socket.AF_UNIX:
        return -1
    try:
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return -1
    if len(info) < _TCP_INFO_SIZE:
        return -1
    return int(struct.unpack_from("Q", info, _BYTES_ACKED)[0])


def can_sendfile(transport: asyncio.Transport) -> bool:
    """Whether sendfile(2) works: it does neither under TLS nor on uvloop."""
    mode = getattr(transport, "_sendfile_compatible", None)
    return getattr(mode, "name", "") == "TRY_NATIVE"


@contextmanager
def corked(transport: asyncio.Transport) -> Iterator[None]:
    """The socket sends only full segments until the end of the block: a fifth less CPU for a large
    file (measured).
    """
    sock = transport.get_extra_info("socket")
    if not _LINUX or sock is None or sock.family == socket.AF_UNIX or sock.fileno() < 0:
        yield
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    try:
        yield
    finally:
        if sock.fileno() >= 0:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def sendfile_now(transport: asyncio.Transport, file: int, offset: int, count: int) -> int:
    """Sends the bytes that the kernel takes at once: for a fast peer all, else maybe none (0).

    No task, no timer and no epoll_ctl, which `loop.sendfile` costs for each slice.
    """
    if transport.get_write_buffer_size():
        return 0
    sock = transport.get_extra_info("socket")
    try:
        return os.sendfile(sock.fileno(), file, offset, count)
    except BlockingIOError:
        return 0
    except OSError as error:
        reset(transport)
        raise StreamClosed(str(error)) from error


async def sendfile_slice(transport: asyncio.Transport, file: int, offset: int, count: int) -> int:
    """Sends up to `count` bytes by sendfile(2); returns how many there were."""
    loop = asyncio.get_running_loop()
    with open(file, "rb", buffering=0, closefd=False) as source:  # noqa: ASYNC230 - opens nothing
        return await loop.sendfile(transport, source, offset, count, fallback=False)


async def read_slice(
    transport: asyncio.Transport,
    drain: Callable[[], Coroutine[Any, Any, None]],
    file: int,
    offset: int,
    count: int,
) -> int:
    """The same by large reads in a thread, for transports that sendfile(2) cannot serve."""
    sent = 0
    while sent < count:
        data = await asyncio.to_thread(os.pread, file, min(READ, count - sent), offset + sent)
        if not data:
            break
        transport.write(data)
        sent += len(data)
        await drain()
        if transport.is_closing():
            raise StreamClosed("the peer left")
    return sent


async def unless_stalled(
    transport: asyncio.Transport, work: Coroutine[Any, Any, int], timeout: float
) -> int:
    """Awaits `work`; resets the connection on failure, and after `timeout` seconds of no progress.

    A peer that reads one byte a second is slow, not stalled: progress counts, not the time that
    a slice takes.
    """
    task = asyncio.create_task(work)
    progress = (acked(transport), transport.get_write_buffer_size())
    try:
        while not (await asyncio.wait({task}, timeout=timeout))[0]:
            before, progress = progress, (acked(transport), transport.get_write_buffer_size())
            if progress == before:
                raise StreamStalled(f"the peer read nothing for {timeout:g} seconds")
        return task.result()
    except StreamStalled:
        raise
    except (
        OSError,
        RuntimeError,
    ) as error:  # RuntimeError: asyncio's word for a transport that closes
        raise StreamClosed(str(error)) from error
    finally:
        # The task first: asyncio takes it ill when a transport goes that a sendfile still waits
        # for.
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if task.cancelled() or task.exception() is not None:
            reset(transport)
