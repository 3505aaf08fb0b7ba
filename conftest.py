"""Fixtures that tests of several members share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

for contract in ("journal_contract", "state_contract", "store_contract", "verifier_contract"):
    pytest.register_assert_rewrite(f"eddyline.testing.{contract}")

from eddyline.testing import RedisServer  # noqa: E402  (imports of ours come after it)

# Hypothesis would fail an example that takes 200 ms: on a busy machine any may.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A redis-server for tests that leave it whole; each takes a hub of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url
