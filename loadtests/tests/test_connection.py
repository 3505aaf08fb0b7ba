"""Bodies come as they are sent; their clean end is told from a cut."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from gevent import sleep
from gevent.server import StreamServer
from hypothesis import given
from hypothesis import strategies as st

from loadtests.connection import Broken, Chunked, Connection, Cut, Origin

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b"5\r\nhello\r\n1;x=y\r\n,\r\n6\r\n world\r\n0\r\nTrailer: 1\r\n\r\n"

Answer = Callable[..., Connection]


@pytest.fixture
def answer() -> Iterator[Answer]:
    """A connection whose head was read, to a server that sends these pieces, and closes."""
    servers = []
    connections = []

    def start(*pieces: bytes, method: str = "GET") -> Connection:
        def handle(socket: Any, _: Any) -> None:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += socket.recv(65536)
            for piece in pieces:
                socket.sendall(piece)
                sleep(0.005)  # sleep: pieces arrive apart

        server = StreamServer(("127.0.0.1", 0), handle)
        server.start()
        servers.append(server)
        connection = Connection(f"http://127.0.0.1:{server.server_port}/prefix")
        connections.append(connection)
        connection.request(method, "/", {"Accept": "*/*"})
        return connection

    yield start
    for connection in connections:
        connection.close()
    for server in servers:
        server.stop()


@given(st.lists(st.integers(min_value=0, max_value=len(BODY))))
def test_chunks_are_found_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    chunked = Chunked()
    places = [0, *sorted(cuts), len(BODY)]
    found = []
    for start, end in pairwise(places):
        assert not chunked.complete or start == len(BODY)
        found.append(chunked.feed(BODY[start:end]))
    assert b"".join(found) == b"hello, world"
    assert chunked.complete


def test_a_part_of_a_chunk_is_given_at_once() -> None:
    assert Chunked().feed(b"ff\r\nsoon") == b"soon"


def test_a_body_comes_as_it_is_sent_and_ends(answer: Answer) -> None:
    connection = answer(HEAD, b"2\r\nab\r\n", b"1\r\nc\r\n", b"0\r\n\r\n")
    assert [connection.read() for _ in range(4)] == [b"ab", b"c", b"", b""]


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD, b"2\r\nab\r\n"),
        (HEAD, b"2\r\nab\r\n0\r\n"),
        (HEAD, b"9\r\nab"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",),
    ],
)
def test_a_body_without_its_end_is_cut(answer: Answer, pieces: tuple[bytes, ...]) -> None:
    connection = answer(*pieces)
    assert connection.read() == b"ab"
    with pytest.raises(Cut):
        connection.read()


def test_a_body_of_no_size_ends_with_its_connection(answer: Answer) -> None:
    connection = answer(b"HTTP/1.0 200 OK\r\n\r\nab")
    assert [connection.read(), connection.read()] == [b"ab", b""]


def test_the_head_is_there(answer: Answer) -> None:
    connection = answer(
        b"HTTP/1.1 103 Early Hints\r\n\r\n"
        b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nab"
    )
    assert (connection.status, connection.headers["retry-after"]) == (503, "7")
    assert connection.whole() == b"ab"


def test_a_head_that_is_none_is_named(answer: Answer) -> None:
    with pytest.raises(Broken, match="SSH-2"):
        answer(b"SSH-2.0-x\r\n\r\n")
    with pytest.raises(Cut, match="a head"):
        answer(b"HTTP/1.1 200")


def test_origins() -> None:
    assert Origin.from_url("https://hub.example/a/") == Origin(
        True, "hub.example", 443, "hub.example", "/a"
    )
    with pytest.raises(ValueError, match="'ftp://x' is no http"):
        Origin.from_url("ftp://x")
