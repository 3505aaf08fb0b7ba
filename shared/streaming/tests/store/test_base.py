"""The contract of a store of streams, on each that the library has."""

from collections.abc import Callable

import pytest

from eddyline.store.base import StreamStore
from eddyline.store.memory import MemoryStore
from eddyline.testing.store_contract import *  # noqa: F403

STORES: dict[str, Callable[[], StreamStore]] = {"memory": MemoryStore}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> StreamStore:
    return STORES[request.param]()
