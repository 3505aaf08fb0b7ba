"""The connection on its socket: the objects that it lets go, and its ends. The tests that it
shares with the others are in test_base.py.
"""

import asyncio
import contextvars
import gc
import os
import socket
import sys
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from eddyline.connection import socket as socket_connection
from eddyline.connection.base import BARE, CHUNKED, HIGH_WATER, LOW_WATER
from eddyline.connection.socket import SocketConnection, take_over
from eddyline.connection.transport import TransportConnection
from eddyline.testing import eventually, fetch


@dataclass
class Pair:
    connection: SocketConnection
    peer: socket.socket
    peers: set[Any]
    listener: Any

    async def read(self, most: int) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.peer, most)


@pytest.fixture
async def pair(recorder: Any) -> AsyncIterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    peers: set[Any] = set()
    made = Pair(SocketConnection(ours, peers, BARE), theirs, peers, recorder)
    made.connection.listener = recorder
    yield made
    theirs.close()
    made.connection.abort()
    await eventually(lambda: not peers)


async def test_nothing_of_asyncio_stays(bench_of):
    async with bench_of() as bench:
        stream = await fetch(bench.url + "/stream")
        await bench.connection()
        here = ("127.0.0.1", bench.running.port)

        def transports() -> list[object]:
            if sys.version_info < (3, 13):  # where a transport that is closed refers to itself
                gc.collect()
            found = (o for o in gc.get_objects() if issubclass(type(o), asyncio.Transport))
            return [t for t in found if t.get_extra_info("sockname") == here]

        await eventually(lambda: transports() == [])
        await stream.close()


async def test_nothing_of_the_request_stays_in_a_context():
    class Request:
        """An object that a middleware might keep in a context variable."""

    request = Request()
    left = weakref.ref(request)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    peers: set[Any] = set()
    context = contextvars.Context()
    context.run(contextvars.ContextVar[Request]("request").set, request)
    connection = context.run(SocketConnection, ours, peers, BARE)
    while not connection.buffered:
        context.run(connection.write, b"x" * 65536)
    del request, context
    gc.collect()
    assert left() is None
    connection.abort()
    await eventually(lambda: not peers)
    theirs.close()


async def test_without_a_descriptor_to_spare_the_transport_stays(bench_of, no_descriptor):
    async with bench_of() as bench:
        stream = await fetch(bench.url + "/stream")
        connection, _ = await bench.connection()
        assert isinstance(connection, TransportConnection)
        connection.close()
        assert await stream.body() == b"first"


async def test_with_bytes_unsent_the_transport_stays():
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    while not transport.get_write_buffer_size():
        transport.write(b"x" * 65536)
    connection = take_over(transport, set(), BARE, full=True)
    assert isinstance(connection, TransportConnection)
    assert connection.full
    connection.abort()
    theirs.close()
    await eventually(lambda: ours.fileno() < 0)


async def test_bytes_arrive_in_order_whatever_the_kernel_takes(pair):
    sent = bytearray()
    received = bytearray()
    while len(received) < 2_000_000:
        while not pair.connection.full and len(sent) < 2_000_000:
            sent += (data := os.urandom(10_000))
            pair.connection.write(data)
        received += await pair.read(100_000)
    assert received == sent
    assert pair.listener.told[:3] == ["full", "writable", "full"]
    assert pair.connection.buffered == 0


async def test_it_is_writable_again_at_the_low_water_mark(pair):
    # Else the kernel takes the whole rest at once.
    pair.connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    held: list[int] = []
    pair.listener.on_writable = lambda: held.append(pair.connection.buffered)
    while not pair.connection.full:
        pair.connection.write(b"x" * 4096)
    assert pair.connection.buffered > HIGH_WATER
    while not held:
        await pair.read(4096)
    assert 0 < held[0] <= LOW_WATER


async def test_a_listener_that_closes_when_writable_is_obeyed(pair):
    pair.listener.on_writable = pair.connection.abort
    while not pair.connection.full:
        pair.connection.write(b"x" * 65536)
    while pair.connection.full:
        await pair.read(65536)
    await eventually(lambda: pair.listener.told == ["full", "close"])


@pytest.mark.parametrize("held", [False, True])
async def test_a_peer_that_is_gone_is_told_of_afterwards(pair, held):
    """Never within a write: that may be one of a whole audience's."""
    while held and not pair.connection.buffered:
        pair.connection.write(b"x" * 65536)
    pair.peer.close()
    pair.connection.write(b"x")
    pair.connection.write(b"x")
    assert pair.listener.told == []
    assert pair.peers
    await eventually(lambda: pair.listener.told == ["close"])
    assert not pair.peers
    pair.connection.write(b"x")
    pair.connection.close()
    pair.connection.abort()
    await asyncio.sleep(0)
    assert pair.listener.told == ["close"]


async def test_a_peer_that_reads_no_more_has_some_seconds_after_a_close(pair, monkeypatch):
    monkeypatch.setattr(socket_connection, "LINGER", 0.05)
    while not pair.connection.buffered:
        pair.connection.write(b"x" * 1000)
    pair.connection.close()
    pair.connection.close()
    await asyncio.sleep(0)
    assert pair.listener.told == []
    await eventually(lambda: pair.listener.told == ["close"])
    assert pair.connection.buffered == 0


async def test_a_large_event_that_many_do_not_read_is_there_once() -> None:
    """One event of 250 kB took 213 kB for each of a thousand readers that read nothing."""
    data = bytes(range(256)) * 8192
    event = CHUNKED.frame(data)
    pairs = [socket.socketpair() for _ in range(50)]
    peers: set[Any] = set()
    for ours, _ in pairs:
        ours.setblocking(False)
    connections = [SocketConnection(ours, peers, CHUNKED) for ours, _ in pairs]
    tracemalloc.start()
    for connection in connections:
        # One after the other, as subscribers that are behind get it.
        connection.write(data)
        connection.write(b"small")
        assert connection.buffered > len(event) // 2
        assert connection.full
    assert tracemalloc.get_traced_memory()[0] < len(event) + 50 * 2000
    tracemalloc.stop()
    reader, writer = await asyncio.open_connection(sock=pairs[0][1])
    whole = event + b"5\r\nsmall\r\n"
    assert await reader.readexactly(len(whole)) == whole
    await eventually(lambda: connections[0].buffered == 0 and not connections[0].full)
    writer.close()
    for connection in connections:
        connection.abort()
    await eventually(lambda: not peers)
    for _, theirs in pairs[1:]:
        theirs.close()


async def test_without_framing_a_cut_is_an_abort(pair):
    """A mere close would look like a regular end."""
    while not pair.connection.buffered:
        pair.connection.write(b"x" * 1000)
    pair.connection.cut()
    await eventually(lambda: pair.listener.told == ["close"])
    assert pair.connection.buffered == 0
