"""Fixtures that tests of several members share."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn.server
from hypothesis import settings

pytest_plugins = ["summary", "groups"]

for contract in ("journal_contract", "state_contract", "store_contract", "verifier_contract"):
    pytest.register_assert_rewrite(f"eddyline.testing.{contract}")

from eddyline.testing import RedisServer, S3Server  # noqa: E402  (imports of ours come after it)

# Hypothesis would fail an example that takes 200 ms: on a busy machine any may.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


class Polling:
    """`asyncio` for uvicorn's server, which looks ten times a second whether it is to end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / 4)  # sleep: between two looks of uvicorn


@pytest.fixture(scope="session", autouse=True)
def servers_of_this_process_end_soon() -> Iterator[None]:
    """Thousands of tests start one, and each would wait for a fifth of a second at its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", Polling())
        yield


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A redis-server for tests that leave it whole; each takes a hub of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for tests that leave it whole; each takes a prefix of its own."""
    if S3Server.find() is None:
        pytest.skip("weed is missing: it comes with the development group, make setup")
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


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
