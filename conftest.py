"""Fixtures that tests of several members share."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

pytest_plugins = ["summary"]

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


@pytest.fixture(scope="session")
def tool() -> Callable[..., str]:
    """The path of the first program there is; without one: a failure in CI, a skip on a laptop."""

    def find(*names: str) -> str:
        for name in names:
            if path := shutil.which(name):
                return path
        message = f"{names[0]} is missing: apt-get install {names[0]}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)

    return find
