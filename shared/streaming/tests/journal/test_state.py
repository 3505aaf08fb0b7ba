"""The contract that any state must keep, and the memory state's own."""

from eddyline.journal.state import MemoryState
from eddyline.testing.state_contract import *  # noqa: F403


async def test_values_that_nobody_pops_are_forgotten() -> None:
    state = MemoryState()
    for number in range(100):
        await state.put_once(str(number), b"value", 0.0)
    assert len(state._once) == 1


async def test_a_value_put_again_and_again_keeps_no_expired_one_alive() -> None:
    state = MemoryState()
    await state.put_once("again", b"value", 60)
    for number in range(100):
        await state.put_once(str(number), b"value", 0.0)
        await state.put_once("again", b"value", 60)
    assert len(state._once) <= 2
