"""The error of an address that can't be had says how to go on."""

import socket

import pytest

from eddyline.errors import SettingsError
from eddyline.service.settings import Settings
from eddyline_standalone.server import listen, url_of


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} is in use.*PORT={port + 1}"):
            listen(Settings(port=port))


def test_an_address_of_another_machine() -> None:
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1 port 0 is no address of this machine"):
        listen(Settings(host="192.0.2.1", port=0))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_free_port_is_in_the_url(host: str) -> None:
    with listen(Settings(host=host, port=0)) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}"


@pytest.mark.skipif(
    not socket.has_ipv6, reason="this Python has no IPv6: use one that was built with it"
)
def test_ipv6_is_in_brackets() -> None:
    with listen(Settings(host="::1", port=0)) as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
