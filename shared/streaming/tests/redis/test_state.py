"""The Redis state's own: many processes, and a Redis that loses its data."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from eddyline.errors import Unavailable
from eddyline.redis import state as redis_state
from eddyline.redis.keys import HubKeys
from eddyline.redis.link import RedisLink
from eddyline.redis.primary import Primary
from eddyline.redis.state import RedisState
from eddyline.testing import RedisServer, eventually


async def refreshed(state: RedisState) -> None:
    """Waits for the next sign of life: its key has longer to live than a moment before."""
    left = [await _left(state)]

    async def is_longer() -> bool:
        left.append(await _left(state))
        return left[-1] > left[-2]

    await eventually(is_longer)


async def _left(state: RedisState) -> int:
    """Milliseconds."""
    milliseconds: int = await state._link.call("PTTL", f"{state._prefix}alive:{state._process}")
    return milliseconds


@asynccontextmanager
async def redis_state_of(url: str, hub: str) -> AsyncIterator[RedisState]:
    keys = HubKeys.from_hub(hub)
    link = RedisLink(Primary(url, keys.prefix))
    state = RedisState(link, keys)
    try:
        async with state.run():
            yield state
    finally:
        await link.close()


async def test_processes_see_each_other(redis_url: str) -> None:
    async with redis_state_of(redis_url, "two") as one, redis_state_of(redis_url, "two") as two:
        await one.put("a", "x", b"1")
        await two.put("a", "y", b"2")
        await one.put_once("t", b"3", 60)
        for state in (one, two):
            assert await state.all("a") == {"x": b"1", "y": b"2"}
        assert [await two.pop("t"), await one.pop("t")] == [b"3", None]
        async with redis_state_of(redis_url, "another hub") as other:
            assert await other.all("a") == {}


async def test_the_values_of_a_killed_process_expire(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_state, "LIFE", 2.0)
    monkeypatch.setattr(redis_state, "REFRESH", 0.1)
    async with AsyncExitStack() as stack:
        dead = await stack.enter_async_context(redis_state_of(redis_url, "dead"))
        async with redis_state_of(redis_url, "dead") as alive:
            await dead.put("a", "x", b"1")
            await alive.put("a", "y", b"2")
            for process in (dead, alive):
                await refreshed(process)
            assert await alive.all("a") == {"x": b"1", "y": b"2"}
            await stack.aclose()

            async def gone() -> bool:
                return await alive.all("a") == {"y": b"2"}

            await eventually(gone)
            members = await alive._link.call("SMEMBERS", alive._prefix + "processes")
            assert [m.decode() for m in members] == [alive._process]


async def test_values_that_redis_lost_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_state, "REFRESH", 0.05)
    with RedisServer(tmp_path) as server:
        async with redis_state_of(server.url, "lost") as state:
            await state.put("a", "x", b"1")
            server.stop()
            with pytest.raises(Unavailable):
                await state.put("a", "y", b"2")
            await its_files_are_gone(tmp_path)
            await asyncio.to_thread(server.start)

            async def back() -> bool:
                try:
                    return await state.all("a") == {"x": b"1", "y": b"2"}
                except Unavailable:
                    return False

            await eventually(back)


async def its_files_are_gone(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    await eventually(lambda: not any(path.is_file() for path in folder.rglob("*")))
