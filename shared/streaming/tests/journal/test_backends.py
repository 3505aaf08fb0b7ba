"""Backends by URL: schemes, one of your own, and errors that say how to go on."""

import subprocess
import sys
from typing import Any

import pytest

from eddyline.errors import SettingsError
from eddyline.journal.backends import BACKENDS, backend_from_url
from eddyline.journal.base import Bounds
from eddyline.journal.memory import MemoryBackend


class Own(MemoryBackend):
    """A backend of somebody else's; `memory` in all but its URL."""

    given: tuple[Any, ...] = ()

    @classmethod
    def from_url(cls, url: str, hub: str, bounds: Bounds, **options: Any) -> "Own":
        backend = cls(bounds)
        backend.given = (url, hub, bounds, options)
        return backend


async def test_memory_is_ready_at_once_and_shared_with_nobody() -> None:
    backend = backend_from_url("memory://")
    async with backend.run():
        assert backend.fault() is None
        assert not backend.state.shared


async def test_redis_is_not_ready_before_its_bus_is_proven(redis_url: str) -> None:
    backend = backend_from_url(redis_url, "ready")
    assert backend.state.shared
    async with backend.run(), backend.journal.follow(Nobody()):
        assert backend.fault() is None
    away = backend_from_url("redis://127.0.0.1:1", "ready")
    async with away.run(), away.journal.follow(Nobody()):
        assert "the bus (Redis) is not proven" in (away.fault() or "")


class Nobody:
    """A follower that takes no notice."""

    def deliver(self, entry: object) -> None: ...

    def skip(self, head: object) -> None: ...

    def deliver_ephemeral(self, topic: str, data: str) -> None: ...

    def signal(self, message: bytes) -> None: ...


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://h", "redis+sentinel://h/primary", "rediss+cluster://h"]
)
def test_every_scheme_of_redis_has_its_backend(url: str) -> None:
    assert type(backend_from_url(url)).__name__ == "RedisBackend"


def test_a_scheme_of_your_own_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "own", f"{__name__}:Own.from_url")
    bounds = Bounds(max_age=7.0)
    backend = backend_from_url("own://host", "orders", bounds, meter="a meter")
    assert isinstance(backend, Own)
    assert backend.given == ("own://host", "orders", bounds, {"meter": "a meter"})


@pytest.mark.parametrize("url", ["kafka://user:secret@host", "user:secret@host", ""])
def test_an_unknown_scheme_is_told_with_those_that_are_known(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        backend_from_url(url)
    text = str(raised.value)
    assert "memory://, redis://, rediss://, redis+sentinel://" in text
    assert "secret" not in text
    assert ("'kafka'" in text) == url.startswith("kafka")


@pytest.mark.parametrize("module", ["redis", "hiredis"])
def test_a_missing_extra_is_named(module: str) -> None:
    code = f"""
import sys
sys.modules[{module!r}] = None
from eddyline.journal.backends import backend_from_url
backend_from_url("memory://")
backend_from_url("redis://127.0.0.1")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "SettingsError: redis:// needs the module" in done.stderr
    assert f"'{module}" in done.stderr
    assert "install eddyline[redis]" in done.stderr


def test_another_missing_module_is_named_without_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "own", "no_such_module_of_ours:Backend")
    with pytest.raises(SettingsError, match="own:// needs the module 'no_such_module_of_ours', wh"):
        backend_from_url("own://host")
