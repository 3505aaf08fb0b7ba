"""The server: the guards of a detached response, and the parts of uvicorn under it."""

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from eddyline.connection.asgi import AsgiConnection
from eddyline.connection.base import BARE
from eddyline.connection.response import StreamResponse
from eddyline.connection.socket import SocketConnection
from eddyline.connection.transport import TransportConnection, reset
from eddyline.server.server import stop_accepting
from eddyline.testing import eventually, fetch, request_bytes


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    return {"ssl_keyfile": str(tmp_path / "key.pem"), "ssl_certfile": str(tmp_path / "cert.pem")}


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_nothing_waits_for_an_acknowledgement(bench_of):
    """`running` hands the server a listener, as systemd or `make run` does."""
    async with bench_of() as bench:
        async with await fetch(bench.url + "/plain") as stream:
            await stream.body()
            [protocol] = bench.running.server.server_state.connections
            sock = protocol.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_stream_detaches_and_leaves_no_task(bench_of):
    async with bench_of() as bench:
        stream = await fetch(bench.url + "/stream")
        connection, _ = await bench.connection()
        state = bench.running.server.server_state
        assert isinstance(connection, SocketConnection)
        await eventually(lambda: not state.tasks)
        assert state.connections == {connection}
        assert state.total_requests == 1
        await stream.close()
        await eventually(lambda: not state.connections)


async def test_bytes_of_a_client_inside_a_stream_are_dropped_unparsed(bench_of):
    async with bench_of() as bench:
        stream = await fetch(bench.url + "/stream")
        connection, listener = await bench.connection()
        assert await stream.read() == b"first"
        stream.writer.write(request_bytes("GET", "/plain", {}) + b"\0garbage" * 1000)
        await stream.writer.drain()
        connection.write(b"still a stream")
        assert await stream.read() == b"still a stream"
        connection.close()
        assert await stream.body() == b""
        assert listener.told in ([], ["close"])
        assert bench.running.server.server_state.total_requests == 1


async def test_a_pipelined_request_means_an_answer_without_detaching(bench_of):
    async with bench_of() as bench:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        writer.write(request_bytes("GET", "/stream", {}) + request_bytes("GET", "/plain", {}))
        connection, _ = await bench.connection()
        assert isinstance(connection, AsgiConnection)
        connection.write(b"alone")
        connection.close()
        received = await reader.readuntil(b'{"plain":"answer"}')
        assert received.count(b"HTTP/1.1 200 OK") == 2
        # Whole and before the other answer, never inside it.
        body, _, second = received.partition(b"0\r\n\r\n")
        assert b"alone" in body
        assert second.startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_a_stream_with_a_request_behind_it_ends_when_its_client_leaves(bench_of):
    async with bench_of() as bench:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        writer.write(request_bytes("GET", "/stream", {}) + request_bytes("GET", "/plain", {}))
        connection, listener = await bench.connection()
        assert isinstance(connection, AsgiConnection)
        await reader.readuntil(b"first")
        reset(writer.transport)

        def written_and_told() -> bool:
            connection.write(b"a heartbeat")  # nothing is read, so only a write tells of the end
            return "close" in listener.told

        await eventually(written_and_told)
        await eventually(lambda: not bench.running.server.server_state.tasks)


async def test_half_of_a_pipelined_request_means_the_same(bench_of):
    async with bench_of() as bench:
        _, writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        writer.write(request_bytes("GET", "/stream", {}) + b"GET /pl")
        connection, _ = await bench.connection()
        assert isinstance(connection, AsgiConnection)
        writer.close()


async def test_an_unread_request_body_means_the_same(bench_of):
    async with bench_of() as bench:
        _, writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        writer.write(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        connection, _ = await bench.connection()
        assert isinstance(connection, AsgiConnection)
        writer.close()


async def test_http_1_0_gets_no_chunks(bench_of):
    async with bench_of() as bench:
        stream = await fetch(bench.url + "/stream", version="1.0")
        connection, _ = await bench.connection()
        assert isinstance(connection, SocketConnection)
        assert connection.framing is BARE
        assert stream.headers["connection"] == "close"
        assert "transfer-encoding" not in stream.headers
        connection.write(b"bare")
        connection.close()
        assert await stream.body() == b"firstbare"


async def test_http_1_0_gets_no_chunks_of_an_attached_stream_either(bench_of):
    async with bench_of() as bench:
        _, writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        # Too little of the body has come for the response to detach.
        writer.write(b"POST /stream HTTP/1.0\r\nContent-Length: 5\r\n\r\nab")
        connection, _ = await bench.connection()
        assert isinstance(connection, AsgiConnection)
        connection.write(b"bare")
        connection.close()
        received = await asyncio.wait_for(reader.read(), 20)
        assert received.endswith(b"\r\n\r\nfirstbare")
        writer.close()


async def test_tls(bench_of, tls, trust):
    async with bench_of(**tls) as bench:
        stream = await fetch(bench.url + "/stream", tls=trust)
        connection, listener = await bench.connection()
        assert isinstance(connection, TransportConnection)
        connection.write(b"x" * 100_000)
        connection.close()
        assert len(await stream.body()) == 100_005
        assert stream.clean
        await eventually(lambda: listener.told[-1:] == ["close"])


async def test_a_server_that_stops_ends_streams_and_waits_for_them(bench_of):
    async with bench_of() as bench:
        stream = await fetch(bench.url + "/stream")
        _, listener = await bench.connection()
        await bench.running.stop()
        assert await stream.body() == b"first"
        assert stream.clean
        assert listener.told == ["close"]


async def test_a_first_request_on_its_way_is_answered_by_a_server_that_stops(bench_of):
    async with bench_of() as bench:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", bench.running.port)
        await eventually(lambda: len(bench.running.server.server_state.connections) == 2)
        [server] = bench.running.server.servers
        stopping = asyncio.create_task(bench.running.stop())
        await eventually(lambda: not server.is_serving())
        writer.write(request_bytes("GET", "/plain", {}))
        answer = await asyncio.wait_for(reader.read(), 20)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"connection: close" in answer
        assert await asyncio.wait_for(idle_reader.read(), 20) == b""
        await stopping
        writer.close()
        idle_writer.close()


@pytest.mark.parametrize("rounds", range(2, 6))
async def test_who_was_just_accepted_is_answered_by_a_server_that_stops(
    bench_of, monkeypatch, rounds
):
    async with bench_of() as bench:
        with socket.socket() as client:

            async def at_the_last_moment(servers) -> None:
                client.connect(("127.0.0.1", bench.running.port))
                client.sendall(request_bytes("GET", "/plain", {}))
                for _ in range(rounds):  # rounds of the loop in which it is being accepted
                    await asyncio.sleep(0)
                await stop_accepting(servers)

            monkeypatch.setattr("eddyline.server.server.stop_accepting", at_the_last_moment)
            await bench.running.stop()
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")


async def test_the_kernel_holds_little_for_a_stalled_reader(bench_of):
    async with bench_of() as bench:
        stream = await fetch(bench.url + "/stream", receive_buffer=4096)
        connection, _ = await bench.connection()
        sock = connection._socket
        assert sock.getsockopt(socket.IPPROTO_TCP, 25) == 16 * 1024
        assert sock.getsockopt(socket.IPPROTO_TCP, 18) == 75_000
        await stream.close()


async def test_a_hundred_resets_leave_nothing(bench_of, caplog):
    async with bench_of() as bench:
        streams = [await fetch(bench.url + "/stream") for _ in range(100)]
        for stream in streams:
            stream.reset()
        state = bench.running.server.server_state
        await eventually(lambda: not state.connections and not state.tasks)
        assert bench.opened.qsize() == 100
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_stream_responses_say_no_length():
    response = StreamResponse(lambda _: None, lambda: None, "text/event-stream")
    assert "content-length" not in response.headers
