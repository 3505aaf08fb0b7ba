"""All connections behave alike: `bench` starts each test with each of the detached ones, and with
the ASGI one.
"""

import asyncio

import pytest

from eddyline.connection.base import HIGH_WATER
from eddyline.testing import eventually, fetch


async def test_what_is_written_arrives_and_a_close_is_a_clean_end(bench):
    stream = await fetch(bench.url + "/stream")
    connection, listener = await bench.connection()
    assert await stream.read() == b"first"
    connection.write(b"second")
    assert await stream.read() == b"second"
    connection.close()
    assert await stream.body() == b""
    assert stream.clean
    await eventually(lambda: listener.told == ["close"])
    assert bench.abandoned == []


async def test_the_head_comes_before_any_event(bench):
    stream = await fetch(bench.url + "/stream")
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in stream.headers
    await stream.close()


async def test_framed_bytes_arrive_as_the_plain_ones_do(bench):
    stream = await fetch(bench.url + "/stream")
    connection, _ = await bench.connection()
    connection.write_framed(connection.framing.frame(b"abc"))
    connection.close()
    assert await stream.body() == b"firstabc"
    assert stream.clean


async def test_nothing_written_is_nothing_sent(bench):
    # An empty chunk would end the body.
    stream = await fetch(bench.url + "/stream")
    connection, _ = await bench.connection()
    connection.write(b"")
    connection.write(b"after")
    connection.close()
    assert await stream.body() == b"firstafter"


async def test_an_abort_is_seen_as_an_error(bench):
    stream = await fetch(bench.url + "/stream")
    connection, listener = await bench.connection()
    connection.abort()
    await stream.body()
    assert stream.clean is False
    await eventually(lambda: listener.told == ["close"])


@pytest.mark.parametrize("goodbye", ["close", "reset"])
async def test_a_client_that_leaves_is_noticed(bench, goodbye):
    stream = await fetch(bench.url + "/stream")
    connection, listener = await bench.connection()
    if goodbye == "reset":
        stream.reset()
    else:
        await stream.close()
    await eventually(lambda: listener.told == ["close"])
    connection.write(b"nobody reads this")
    connection.close()
    await eventually(lambda: not bench.running.server.server_state.connections)


async def test_a_slow_reader_fills_the_connection_and_empties_it(bench):
    stream = await fetch(bench.url + "/stream", receive_buffer=4096)
    connection, listener = await bench.connection()
    written = 0
    while not connection.full:
        connection.write(b"x" * 4096)
        written += 4096
        await asyncio.sleep(0)
        assert written < 16 * 1024 * 1024
    assert listener.told == ["full"]
    assert connection.buffered > HIGH_WATER
    received = 0
    while received < written + len("first"):
        received += len(await stream.read())
    await eventually(lambda: listener.told == ["full", "writable"])
    assert not connection.full
    assert connection.buffered == 0
    await stream.close()


async def test_a_close_sends_what_was_written_before(bench):
    stream = await fetch(bench.url + "/stream", receive_buffer=4096)
    connection, _ = await bench.connection()
    connection.write(b"x" * 300_000)
    connection.close()
    assert len(await stream.body()) == 300_005
    assert stream.clean


async def test_head_has_no_body_and_no_connection(bench):
    stream = await fetch(bench.url + "/stream", method="HEAD")
    assert stream.status == 200
    assert bench.abandoned == ["abandoned"]
    assert bench.opened.empty()
    await stream.close()


async def test_an_ordinary_answer_leaves_the_connection_for_the_stream(bench):
    stream = await fetch(bench.url + "/plain")
    assert await stream.json() == {"plain": "answer"}
    stream.writer.write(b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
    await stream.read_head("GET")
    assert await stream.json() == {"plain": "answer"}
    stream.writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    await stream.read_head("GET")
    stream._left = None
    connection, _ = await bench.connection()
    connection.close()
    assert await stream.body() == b"first"
    assert stream.clean


async def test_the_last_bytes_come_with_the_end(bench):
    stream = await fetch(bench.url + "/stream")
    connection, listener = await bench.connection()
    connection.write(b"second")
    connection.close(b"last")
    connection.close(b"never")
    assert await stream.body() == b"firstsecondlast"
    assert stream.clean
    await eventually(lambda: listener.told == ["close"])


async def test_a_cut_sends_what_was_written_and_is_seen_as_an_error(bench):
    stream = await fetch(bench.url + "/stream", receive_buffer=4096)
    connection, listener = await bench.connection()
    connection.write(b"x" * 300_000)
    connection.cut()
    assert len(await stream.body()) == 300_005
    assert stream.clean is False
    await eventually(lambda: listener.told[-1] == "close")
