import socket
import struct

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eddyline.connection.base import Connection
from eddyline.connection.response import StreamResponse
from eddyline.testing import eventually, fetch

#: The offset of tcpi_data_segs_in in struct tcp_info (linux/tcp.h).
DATA_SEGMENTS_IN = 152


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_background_task_of_a_route_runs(serve, method):
    ran: list[str] = []

    async def stream(request: Request) -> Response:
        response = StreamResponse(lambda connection: connection.close(), list, "text/plain")
        response.background = BackgroundTask(ran.append, "ran")
        return response

    async with serve(Starlette(routes=[Route("/", stream)])) as (url, _):
        await (await fetch(url, method=method)).close()
        await eventually(lambda: ran == ["ran"])


async def test_the_head_and_the_first_bytes_are_one_packet(bench_of):
    """Each packet costs the server about 30 µs."""
    async with bench_of() as bench, await fetch(bench.url + "/stream") as stream:
        assert await stream.read() == b"first"
        sock = stream.writer.get_extra_info("socket")
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, DATA_SEGMENTS_IN + 4)
        assert struct.unpack_from("I", info, DATA_SEGMENTS_IN) == (1,)


@pytest.mark.parametrize("written", [b"", b"something"])
async def test_a_writer_that_fails_to_take_the_connection_leaves_nothing_open(
    serve, written, caplog
):
    abandoned: list[str] = []

    def open(connection: Connection) -> None:
        connection.write(written)
        raise RuntimeError("a fault")

    async def stream(request: Request) -> Response:
        return StreamResponse(open, lambda: abandoned.append("abandoned"), "text/plain")

    async with serve(Starlette(routes=[Route("/", stream)])) as (url, server):
        answer = await fetch(url)
        assert await answer.body() in (b"", written)
        assert answer.clean is False
        assert abandoned == ["abandoned"]
        await eventually(lambda: not server.server_state.connections)
    assert "a fault" in caplog.text
