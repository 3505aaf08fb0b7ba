"""Files sent through an asyncio transport: by sendfile(2) where it can, else by large reads."""

import asyncio
import fcntl
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
from eddyline.threads import FILES

#: Bytes of a file that are sent between two looks at it, and that sendfile(2) is asked for at once.
SLICE = 4 * 1024 * 1024

#: Bytes that are looked for in memory at once: the most that may be gone from there by the time
#: that a slow peer has room.
PIECE = 1024 * 1024

#: Bytes of one read in a thread.
READ = 512 * 1024

#: Bytes between two looks into the page cache; the kernel reads so many ahead.
LOOK = 128 * 1024

_SIOCOUTQNSD = 0x894B  # linux/sockios.h: bytes that wait to be sent for the first time
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


def tells_what_waits(file: int) -> bool:
    """Whether the file's system can say that a read would wait for a disk. Those of a network, of
    FUSE and of memory can not.
    """
    return _LINUX and _cached(file, 0, 1) is not None


async def cached(file: int, offset: int, count: int) -> int:
    """The bytes from `offset` on, at least one, that sendfile(2) finds in memory; read there in a
    thread where they are not. 0: the file's system cannot tell, or keeps nothing in memory.
    """
    known = _cached(file, offset, count)
    if known == 0:
        count = min(count, READ)
        await FILES.lane(os.fstat(file).st_dev).run(os.pread, file, count, offset)
        known = _cached(file, offset, count)
    return known or 0


def _cached(file: int, offset: int, count: int) -> int | None:
    """The bytes that are in the page cache, by a look at each LOOK; None where nobody can tell."""
    byte = [bytearray(1)]
    known = 0
    for at in (*range(0, count, LOOK), count - 1):
        try:
            os.preadv(file, byte, offset + at, os.RWF_NOWAIT)
        except BlockingIOError:
            return known
        except OSError:
            return None
        known = at + 1
    return known


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
    """The same by large reads in a thread, where sendfile(2) cannot be used or might wait."""
    lane, sent = FILES.lane(os.fstat(file).st_dev), 0
    while sent < count:
        data = await lane.run(os.pread, file, min(READ, count - sent), offset + sent)
        if not data:
            break
        transport.write(data)
        sent += len(data)
        await drain()
        if transport.is_closing():
            raise StreamClosed("the peer left")
    return sent


async def until_sent(transport: asyncio.Transport, timeout: float) -> None:
    """Waits until all bytes have left the socket; raises StreamStalled, StreamClosed.

    sendfile(2) copies nothing: a write to the file still changes the bytes that wait there.
    """
    sock = transport.get_extra_info("socket")
    if not _LINUX or sock is None or sock.family == socket.AF_UNIX:
        return
    loop, pause = asyncio.get_running_loop(), 0.0
    left, since = 0, loop.time()
    while not transport.is_closing() and (unsent := _unsent(sock)):
        if unsent != left:
            left, since = unsent, loop.time()
        elif loop.time() - since > timeout:
            reset(transport)
            raise StreamStalled(f"the peer read nothing for {timeout:g} seconds")
        await asyncio.sleep(pause)
        pause = min(1.5 * pause + 0.0005, 0.05)


def _unsent(sock: socket.socket) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), _SIOCOUTQNSD, bytes(4)))[0])
    except (OSError, ValueError):
        return 0


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
