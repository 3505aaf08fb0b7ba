"""The client of HTTP/1.1 against servers of the test's own, byte for byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from eddyline.testing import eventually
from eddyline_chat.client import connection as connections
from eddyline_chat.client import pool as pools
from eddyline_chat.client.base import Broken, Fault, Head, Unreachable
from eddyline_chat.client.origin import Origin, joined
from eddyline_chat.client.pool import Exchange, Pool

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Taken:
    """A receiver that keeps all that it is told."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.body = b""
        self.ended: asyncio.Future[Fault | None] = asyncio.get_running_loop().create_future()

    def on_head(self, head: Head) -> None:
        self.heads.append(head)

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_end(self, fault: Fault | None) -> None:
        self.ended.set_result(fault)

    async def end(self) -> Fault | None:
        return await asyncio.wait_for(self.ended, 20)


class Served:
    """A server, a pool of connections to it, and the numbers that the pool has counted."""

    def __init__(self, url: str) -> None:
        self.requests = 0
        self.open: list[int] = []
        self.pool = Pool(Origin.from_url(url), 5.0, self.open.append)

    def send(self, receiver: Taken) -> Exchange:
        return self.pool.send(self.pool.origin.post("/x", {"A": "b"}, b"ask"), receiver)


@asynccontextmanager
async def serving(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """Each request is answered by the next bytes; after the last ones the connection is closed."""
    left = list(answers)
    served: Served

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while left:
                await reader.readuntil(b"\r\n\r\nask")
                served.requests += 1
                writer.write(left.pop(0))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    served = Served(f"{'https' if tls else 'http'}://localhost:{port}/v1")
    yield served
    served.pool.close()
    await eventually(lambda: not served.open or served.open[-1] == 0)
    server.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"hi"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + OK, b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
async def test_a_framed_response_leaves_the_connection(answer: bytes, body: bytes) -> None:
    async with serving(answer, answer, b"") as served:
        for _ in range(2):
            taken = Taken()
            served.send(taken)
            assert await taken.end() is None
            assert (taken.body, [head.status for head in taken.heads]) == (body, [200])
        assert served.open == [1]


@pytest.mark.parametrize(
    ("answer", "body", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nhi", b"hi", None),  # ends with the connection
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", None),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", None),
        (OK + OK, b"hi", None),  # a second response, which nobody has asked for
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", b"hi", Broken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b"hi", Broken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", b"", Broken),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", b"", Broken),
        (b"HTTP/1.1 200 OK\r\nContent-", b"", Broken),
        (b"SSH-2.0-OpenSSH\r\n", b"", Broken),
        (b"", b"", Broken),
    ],
)
async def test_other_responses_do_not(answer: bytes, body: bytes, fault: type | None) -> None:
    async with serving(answer) as served:
        taken = Taken()
        served.send(taken)
        end = await taken.end()
        assert (type(end) if end else None, taken.body) == (fault, body)
        await eventually(lambda: served.open[-1] == 0)


async def test_a_head_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_HEAD_LIMIT", 100)
    async with serving(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100, b"") as served:
        taken = Taken()
        served.send(taken)
        assert "without the end of a head" in str(await taken.end())


async def test_an_idle_connection_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_FREE_SECONDS", 0.01)
    async with serving(OK, b"") as served:
        taken = Taken()
        served.send(taken)
        await taken.end()
        await eventually(lambda: served.open == [1, 0])


async def test_a_bounded_number_of_connections_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_FREE_MOST", 2)
    async with serving(*[OK] * 5, b"") as served:
        taken = [Taken() for _ in range(5)]
        for receiver in taken:
            served.send(receiver)
        await asyncio.gather(*(receiver.end() for receiver in taken))
        await eventually(lambda: served.open[-1] == 2)


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_server_under_tls_must_have_the_names_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """RFC 9110 section 4.3.4."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost" if trusted else "other.test").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with serving(OK, b"", tls=context) as served:
        taken = Taken()
        served.send(taken)
        end = await taken.end()
        assert (end is None, taken.body == b"hi") == (trusted, trusted)
        assert trusted or isinstance(end, Unreachable)


@pytest.mark.parametrize("url", ["http://", "ftp://h", "h:80", "http://h:99999/", "http://a\nb/"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected|[Pp]ort"):
        Origin.from_url(url)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://h/v1", "h"),
        ("http://h:80", "h"),
        ("https://h:80", "h:80"),
        ("http://[::1]:8000/v1", "[::1]:8000"),
    ],
)
def test_the_host_header_names_the_origin(url: str, authority: str) -> None:
    """RFC 9112 section 3.2."""
    assert Origin.from_url(url).authority == authority


def test_no_header_can_hold_another() -> None:
    with pytest.raises(ValueError, match="'A' holds a line end"):
        Origin.from_url("http://h").post("/", {"A": "b\r\nC: d"}, b"")


def test_a_redirect_is_joined_to_its_url() -> None:
    assert joined("http://h/v1/a", "/v2/b") == "http://h/v2/b"
    with pytest.raises(ValueError, match="expected"):
        joined("http://h/v1/a", "mailto:x@y")
