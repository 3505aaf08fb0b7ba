"""Webhooks go to the world, and never into our own network (section 12.8)."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore

from eddyline_streams.subscriptions.errors import SubscriptionError

#: Seconds for the whole of a delivery, and bytes of its answer that are read.
TIMEOUT = 30.0
MOST_ANSWER = 64 * 1024

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_url(url: str, *, local: bool) -> None:
    """Raises SubscriptionError for a URL that no webhook may have. `local`: this machine may be
    named by plain HTTP, for development.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.username is not None or port == 0:
        raise _rejected(url, "expected https://host/path")
    if _is_local(host):
        if not local or parts.scheme not in ("http", "https"):
            raise _rejected(url, "this machine itself is no receiver")
        return
    if parts.scheme != "https":
        raise _rejected(url, "expected https")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return  # a name: its addresses are looked at when it is called
    if not is_public(address):
        raise _rejected(url, "the address is of a private network")


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address, and one of IPv4 within it, is of the world."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


class Webhooks:
    """Sends wakes. Redirects are not followed. `local` as in `check_url`."""

    def __init__(self, *, local: bool) -> None:
        self._local = local
        self._pool = httpcore.AsyncConnectionPool(network_backend=_Guarded(local))

    async def post(self, url: str, body: bytes, signature: str) -> bytes:
        """The answer's body; raises SubscriptionError, OSError and httpcore's errors."""
        check_url(url, local=self._local)
        headers = [("Content-Type", "application/json"), ("Webhook-Signature", signature)]
        headers.append(("Host", urlsplit(url).netloc))
        async with asyncio.timeout(TIMEOUT):
            async with self._pool.stream("POST", url, headers=headers, content=body) as response:
                answer = b""
                async for piece in response.aiter_stream():
                    answer += piece
                    if len(answer) > MOST_ANSWER:
                        break
        if not 200 <= response.status < 300:
            raise OSError(f"the webhook answered {response.status}")
        return answer

    async def close(self) -> None:
        await self._pool.aclose()


class _Guarded(httpcore.AsyncNetworkBackend):
    """Looks at each address right before it connects to it: a name may have others each time."""

    def __init__(self, local: bool) -> None:
        self._local = local
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        allowed = self._local and _is_local(host)
        for *_, address in found:
            if allowed or is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
                return await self._backend.connect_tcp(
                    str(address[0]), port, timeout, local_address, socket_options
                )
        raise OSError(f"{host[:80]!r} has no address outside of private networks")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)  # sleep: httpcore's own


def _is_local(host: str) -> bool:
    return host == "localhost" or (
        host.startswith("127.0.0.") and host.removeprefix("127.0.0.").isdigit()
    )


def _rejected(url: str, why: str) -> SubscriptionError:
    return SubscriptionError(400, "WEBHOOK_URL_REJECTED", f"webhook.url={url[:200]!r}: {why}")
