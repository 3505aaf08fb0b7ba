"""Webhooks never reach a private network (section 12.8 of the protocol)."""

import asyncio
import socket

import pytest

from eddyline.testing import serving
from eddyline_streams.subscriptions.errors import SubscriptionError
from eddyline_streams.subscriptions.webhook import Webhooks, check_url

LOCAL = ("http://localhost/x", "http://127.0.0.1:8080/x", "https://127.0.0.2/")

UNSAFE = (
    *("http://example.com/hook", "ftp://example.com", "https://", "example.com", "https://[", ""),
    *(
        "https://10.0.0.1/",
        "https://192.168.1.1",
        "https://172.16.0.1/",
        "https://169.254.169.254/",
    ),
    *("https://0.0.0.0/", "https://100.64.0.1/", "https://224.0.0.1/", "https://127.1.0.1/"),
    *("https://[::1]/", "https://[fe80::1]/", "https://[fc00::1]/", "https://[::ffff:10.0.0.1]/"),
    *("https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://user@example.com/"),
    "http://127.0.0.1.example.com/",
)


@pytest.mark.parametrize("url", UNSAFE)
@pytest.mark.parametrize("local", [True, False])
def test_a_url_that_is_no_public_one_is_refused(url: str, local: bool) -> None:
    with pytest.raises(SubscriptionError) as refused:
        check_url(url, local=local)
    assert refused.value.code == "WEBHOOK_URL_REJECTED"


@pytest.mark.parametrize("url", LOCAL)
def test_this_machine_is_named_in_development_alone(url: str) -> None:
    check_url(url, local=True)
    with pytest.raises(SubscriptionError):
        check_url(url, local=False)


@pytest.mark.parametrize(
    "url", ["https://example.com/hook", "https://8.8.8.8:8443/", "https://[2606:4700::1]/"]
)
def test_a_public_url_is_taken(url: str) -> None:
    check_url(url, local=False)


async def test_a_name_is_looked_at_again_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may get another address between the two (DNS rebinding)."""
    called = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()

    async with serving(answer) as port:

        async def resolve(host: str, port: int, **_: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        hooks = Webhooks(local=True)
        with pytest.raises(OSError, match="private"):
            await hooks.post(f"https://rebound.example.com:{port}/", b"{}", "")
        await hooks.close()
    assert not called.is_set()
