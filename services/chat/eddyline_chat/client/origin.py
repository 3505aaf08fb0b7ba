"""The server that a URL names, and the bytes of a request to it."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self
from urllib.parse import urljoin, urlsplit

#: A line end would begin a header of somebody else's.
_FORBIDDEN = re.compile(r"[\r\n\0]")

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Raises ValueError where `url` is none of http or https."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or _FORBIDDEN.search(url):
            raise ValueError("expected a URL such as http://host:8000/v1")
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        host = parts.hostname
        return cls(parts.scheme, host if host.isascii() else host.encode("idna").decode(), port)

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """The trust of the system, or of SSL_CERT_FILE; None without TLS."""
        if self.scheme == "http":
            return None
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    @property
    def authority(self) -> str:
        """The value of `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The bytes of a POST. Raises ValueError for a header with a line end."""
        lines = [f"POST {path} HTTP/1.1", f"Host: {self.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}"]
        for line in lines:
            if _FORBIDDEN.search(line):
                raise ValueError(f"{line.partition(':')[0]!r} holds a line end or NUL")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def path_of(url: str) -> str:
    """The target of a request for `url`: its path and query."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def joined(base: str, location: str) -> str:
    """The URL of a redirect; raises ValueError where it is none."""
    url = urljoin(base, location)
    Origin.from_url(url)
    return url
