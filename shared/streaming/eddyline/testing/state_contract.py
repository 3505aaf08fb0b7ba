"""The contract of a state, as tests that want a fixture `state`: see journal_contract.py."""

import asyncio

from eddyline.journal.state import State
from eddyline.testing.wait import eventually


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


async def test_a_value_without_an_owner_expires(state: State) -> None:
    await state.put("a", "mine", b"1")
    await state.put("a", "long", b"2 3", seconds=60)
    await state.put("a", "short", b"4", seconds=0.5)
    assert (await state.all("a"))["long"] == b"2 3"

    async def gone() -> bool:
        return "short" not in await state.all("a")

    await eventually(gone)
    assert await state.all("a") == {"mine": b"1", "long": b"2 3"}


async def test_a_value_is_popped_once(state: State) -> None:
    await state.put_once("a", b"value", 60)
    await state.put_once("b", b"", 60)
    assert await state.pop("a", leave=True) == b"value"
    assert [await state.pop(key) for key in "aabc"] == [b"value", None, b"", None]
    assert await state.pop("a", leave=True) is None


async def test_a_value_to_pop_expires(state: State) -> None:
    await state.put_once("a", b"value", 0.01)

    async def gone() -> bool:
        return await state.pop("a", leave=True) is None

    await eventually(gone)
    assert await state.pop("a") is None


async def test_a_debt_is_shared_and_paid_by_time(state: State) -> None:
    assert await state.charge("a", 10.0, 1.0) == 0
    wait = await state.charge("a", 10.0, 1.0)
    assert 8 < wait <= 9
    assert await state.charge("b", 0.3, 0.1) == 0

    async def paid() -> bool:
        return await state.charge("b", 0.0, 0.1) == 0

    await eventually(paid)
