"""What tests of several members share."""

from collections.abc import Iterator

import pytest

from streaming.testing import RedisServer


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A redis-server for tests that leave it whole; each takes a hub of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url
