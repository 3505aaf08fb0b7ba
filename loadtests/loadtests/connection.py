"""HTTP/1.1 on a gevent socket: bodies as they come, and a clean end told from a cut.

Locust's FastHttpUser has a pool, a parser and buffers for each user, and its `iter_lines` waits
for 1,024 bytes. Here a stream is a socket and a few numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from random import choice
from time import monotonic
from typing import Any, Protocol
from urllib.parse import urlsplit

from gevent import socket, ssl

#: Bytes that are asked of a socket at once.
PIECE = 65536

#: Bytes that a head may have.
HEAD = 65536

#: Seconds for which the addresses of a name are good.
ADDRESSES = 5


class Broken(Exception):
    """The bytes are not an answer, or not all of one."""


class Cut(Broken):
    """The connection ended before the body did."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a URL leads; `prefix` is its path, which goes before that of each request."""

    secure: bool
    host: str
    port: int
    name: str
    prefix: str

    @staticmethod
    @cache
    def from_url(url: str) -> "Origin":
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http:// or https:// URL with a host")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return Origin(secure, parts.hostname, port, parts.netloc, parts.path.rstrip("/"))


class Body(Protocol):
    """Finds a body in the bytes of a connection."""

    #: All of it is there.
    complete: bool

    def feed(self, data: bytes) -> bytes: ...
    def end(self) -> None: ...


class Chunked:
    """RFC 9112, 7.1. The bytes of a chunk are given as they come, not when all of it is there."""

    __slots__ = ("_left", "_rest", "_trailing", "complete")

    def __init__(self) -> None:
        self.complete = False
        #: The terminal chunk was there; fields may follow, and an empty line must.
        self._trailing = False
        self._rest = b""
        #: Of the chunk that is being read, with the line end behind it.
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data if self._rest else data
        pieces = []
        at = 0
        while at < len(data):
            if self._left:
                taken = data[at : at + self._left]
                at += len(taken)
                self._left -= len(taken)
                # The last two bytes of a chunk are its line end, wherever it was cut.
                pieces.append(taken[: len(taken) - max(0, 2 - self._left)])
                continue
            line = data.find(b"\r\n", at)
            if line < 0:
                break
            text = data[at:line]
            at = line + 2
            if self._trailing:
                self.complete = not text
                if self.complete:
                    break
            elif size := _size(text):
                self._left = size + 2
            else:
                self._trailing = True
        self._rest = data[at:]
        if len(self._rest) > HEAD:
            raise Broken(f"a chunk's size of {len(self._rest)} bytes: {self._rest[:40]!r}")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> None:
        raise Cut("no terminal chunk")


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        return int(digits, 16)
    except ValueError:
        raise Broken(f"{line[:40]!r} is no chunk's size") from None


class Sized:
    """A body with a Content-Length."""

    __slots__ = ("_length", "complete", "left")

    def __init__(self, length: int) -> None:
        self._length = self.left = length
        self.complete = not length

    def feed(self, data: bytes) -> bytes:
        if len(data) > self.left:
            raise Broken(f"{len(data) - self.left} bytes more than its {self._length}")
        self.left -= len(data)
        self.complete = not self.left
        return data

    def end(self) -> None:
        raise Cut(f"{self._length - self.left} of {self._length} bytes")


class Unsized:
    """A body that ends as its connection does: nobody can tell whether it is whole."""

    __slots__ = ("complete",)

    def __init__(self) -> None:
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.complete = True


class Connection:
    """One request after the other. Raises OSError where there is no connection, and Broken."""

    __slots__ = (
        "_body",
        "_early",
        "_socket",
        "_timeout",
        "headers",
        "origin",
        "reusable",
        "status",
    )

    def __init__(self, url: str, *, receive_buffer: int = 0, timeout: float = 10.0) -> None:
        """`receive_buffer`: bytes that the kernel may take for us; 0: its default. `timeout`:
        seconds to connect, and to the head of each answer.
        """
        self.origin = Origin.from_url(url)
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.reusable = False
        self._timeout = timeout
        self._body: Body = Sized(0)
        self._early = b""
        family, address = choice(_addresses(self.origin, int(monotonic() / ADDRESSES)))
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            if receive_buffer:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.settimeout(timeout)
            made.connect(address)
            if self.origin.secure:
                made = _tls().wrap_socket(made, server_hostname=self.origin.host)
        except BaseException:
            made.close()
            raise
        self._socket = made

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> None:
        """Sends it, and reads the head of the answer: `status`, `headers` (in lower case)."""
        self._socket.settimeout(self._timeout)
        lines = [f"{method} {self.origin.prefix}{path} HTTP/1.1", f"Host: {self.origin.name}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        head = self._head()
        while head[0].startswith("HTTP/1.1 1"):
            head = self._head()
        first, *fields = head
        if not first.startswith("HTTP/1.") or not first[9:12].isdigit():
            raise Broken(f"{first[:40]!r} is no answer")
        self.status = int(first[9:12])
        self.headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (field.partition(":") for field in fields)
        }
        self._body = self._body_of(method)
        self.reusable = self.headers.get("connection", "").lower() != "close"
        # A timer for each read would cost more than the read: silence.py watches all streams.
        self._socket.settimeout(None)

    def _head(self) -> list[str]:
        data = self._early
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = self._socket.recv(PIECE)
            if not more:
                raise Cut("no answer" if not data else "a head of an answer")
            data += more
            if len(data) > HEAD:
                raise Broken(f"a head of more than {HEAD} bytes")
        self._early = data[end + 4 :]
        return data[:end].decode("latin-1").split("\r\n")

    def _body_of(self, method: str) -> Body:
        if method == "HEAD" or self.status in (204, 304):
            return Sized(0)
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return Chunked()
        if (length := self.headers.get("content-length")) is not None:
            if not length.isdigit():
                raise Broken(f"a Content-Length of {length[:40]!r}")
            return Sized(int(length))
        return Unsized()

    def read(self, size: int = PIECE) -> bytes:
        """The next of the body, as it comes; nothing: its clean end. Raises Cut."""
        body = self._body
        if self._early:
            data, self._early = self._early, b""
            if piece := body.feed(data):
                return piece
        while not body.complete:
            if data := self._socket.recv(size):
                if piece := body.feed(data):
                    return piece
            else:
                body.end()
        return b""

    def whole(self, limit: int = 1024 * 1024) -> bytes:
        """The rest of the body."""
        pieces = []
        while piece := self.read():
            pieces.append(piece)
            limit -= len(piece)
            if limit < 0:
                raise Broken("a longer answer than was expected")
        return b"".join(pieces)

    def close(self) -> None:
        """A greenlet that waits in `read` gets an OSError."""
        self._socket.close()


@lru_cache(maxsize=16)
def _addresses(origin: Origin, period: int) -> list[tuple[int, Any]]:
    """Asked for once in a period: 5,000 streams need not ask 5,000 times."""
    found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


@cache
def _tls() -> ssl.SSLContext:
    """Any certificate will do, as for Locust's own users: it is the suite that is tried."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
