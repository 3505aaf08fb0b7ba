"""One contract for the state of one process and that of many, the latter on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eddyline.errors import Unavailable
from eddyline.journal.state import MemoryState, State
from eddyline.redis import state as redis_state
from eddyline.redis.link import Primary, RedisLink
from eddyline.redis.state import RedisState
from eddyline.testing import RedisServer, eventually


@asynccontextmanager
async def redis_state_of(url: str, hub: str) -> AsyncIterator[RedisState]:
    link = RedisLink(Primary(url, f"{{{hub}}}"))
    state = RedisState(link, f"eddyline:{{{hub}}}:")
    try:
        async with state.run():
            yield state
    finally:
        await link.close()


@pytest.fixture(params=["memory", "redis"])
async def state(request: pytest.FixtureRequest) -> AsyncIterator[State]:
    if request.param == "memory":
        yield MemoryState()
        return
    url = request.getfixturevalue("redis_url")
    async with redis_state_of(url, request.node.name) as state:
        yield state


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await found():
            await asyncio.sleep(0.02)


async def test_values_are_there_until_they_are_dropped(state: State) -> None:
    assert await state.all("a") == {}
    await state.put("a", "x", b"1")
    await state.put("a", "y", b"\x00 \xff")
    await state.put("b", "x", b"3")
    await state.put("a", "x", b"2")
    assert await state.all("a") == {"x": b"2", "y": b"\x00 \xff"}
    await state.drop("a", "x")
    await state.drop("a", "never there")
    await state.drop("c", "never there")
    assert await state.all("a") == {"y": b"\x00 \xff"}
    assert await state.all("b") == {"x": b"3"}


async def test_many_at_once(state: State) -> None:
    await asyncio.gather(*(state.put("a", str(n), b"v") for n in range(3000)))
    assert len(await state.all("a")) == 3000
    drops = [state.drop("a", str(n)) for n in range(2900)]
    await asyncio.gather(*drops, state.put("a", "new", b"v"))
    assert set(await state.all("a")) == {str(n) for n in range(2900, 3000)} | {"new"}


async def test_a_value_of_nobody_has_its_time(state: State) -> None:
    await state.put("a", "mine", b"1")
    await state.put("a", "long", b"2 3", seconds=60)
    await state.put("a", "short", b"4", seconds=0.5)
    assert (await state.all("a"))["long"] == b"2 3"

    async def gone() -> bool:
        return "short" not in await state.all("a")

    await until(gone)
    assert await state.all("a") == {"mine": b"1", "long": b"2 3"}


async def test_what_is_lent_is_taken_once(state: State) -> None:
    await state.lend("a", b"value", 60)
    await state.lend("b", b"", 60)
    assert await state.take("a", leave=True) == b"value"
    assert [await state.take(key) for key in "aabc"] == [b"value", None, b"", None]
    assert await state.take("a", leave=True) is None


async def test_what_is_lent_is_lent_for_a_time(state: State) -> None:
    await state.lend("a", b"value", 0.01)
    await asyncio.sleep(0.05)
    assert await state.take("a") is None


async def test_what_is_lent_and_never_taken_is_forgotten() -> None:
    state = MemoryState()
    for number in range(100):
        await state.lend(str(number), b"value", 0.0)
    assert len(state._lent) == 1


async def test_what_is_lent_again_and_again_holds_up_no_other() -> None:
    state = MemoryState()
    await state.lend("again", b"value", 60)
    for number in range(100):
        await state.lend(str(number), b"value", 0.0)
        await state.lend("again", b"value", 60)
    assert len(state._lent) <= 2


async def test_processes_see_each_other(redis_url: str) -> None:
    async with redis_state_of(redis_url, "two") as one, redis_state_of(redis_url, "two") as two:
        await one.put("a", "x", b"1")
        await two.put("a", "y", b"2")
        await one.lend("t", b"3", 60)
        for state in (one, two):
            assert await state.all("a") == {"x": b"1", "y": b"2"}
        assert [await two.take("t"), await one.take("t")] == [b"3", None]
        async with redis_state_of(redis_url, "another hub") as other:
            assert await other.all("a") == {}


async def test_what_a_killed_process_had_goes_soon(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_state, "LIFE", 0.4)
    monkeypatch.setattr(redis_state, "REFRESH", 0.1)
    async with AsyncExitStack() as stack:
        dead = await stack.enter_async_context(redis_state_of(redis_url, "dead"))
        async with redis_state_of(redis_url, "dead") as alive:
            await dead.put("a", "x", b"1")
            await alive.put("a", "y", b"2")
            await asyncio.sleep(1)
            assert await alive.all("a") == {"x": b"1", "y": b"2"}
            await stack.aclose()

            async def gone() -> bool:
                return await alive.all("a") == {"y": b"2"}

            await until(gone)
            members = await alive._link.call("SMEMBERS", alive._prefix + "processes")
            assert [m.decode() for m in members] == [alive._process]


async def test_what_redis_lost_it_gets_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_state, "REFRESH", 0.05)
    with RedisServer(tmp_path) as server:
        async with redis_state_of(server.url, "lost") as state:
            await state.put("a", "x", b"1")
            server.stop()
            with pytest.raises(Unavailable):
                await state.put("a", "y", b"2")
            await state_file_is_gone(tmp_path)
            await asyncio.to_thread(server.start)

            async def back() -> bool:
                try:
                    return await state.all("a") == {"x": b"1", "y": b"2"}
                except Unavailable:
                    return False

            await until(back)


async def state_file_is_gone(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    await eventually(lambda: not any(path.is_file() for path in folder.rglob("*")))
