"""Backends that the contracts are tested on; a module overrides `backend` to test its own."""

import secrets
from collections.abc import AsyncIterator

import pytest

from eddyline.journal.backends import backend_from_url
from eddyline.journal.base import Backend, Journal, Signals
from eddyline.journal.state import State


@pytest.fixture(params=["memory", "redis"])
def backend_url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue("redis_url")
    return url


@pytest.fixture
async def backend(backend_url: str) -> AsyncIterator[Backend]:
    backend = backend_from_url(backend_url, secrets.token_hex(8))
    async with backend.run():
        yield backend


@pytest.fixture
def journal(backend: Backend) -> Journal:
    return backend.journal


@pytest.fixture
def signals(backend: Backend) -> Signals:
    return backend.signals


@pytest.fixture
def state(backend: Backend) -> State:
    return backend.state
