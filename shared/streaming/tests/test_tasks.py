"""Background work ends with the block that it runs beside; pauses between attempts grow."""

import asyncio

from eddyline.tasks import Backoff, background


async def test_it_runs_meanwhile_and_is_over_at_the_end() -> None:
    steps: list[str] = []

    async def work() -> None:
        steps.append("begun")
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            steps.append("over")

    async with background(work()):
        await asyncio.sleep(0)
        assert steps == ["begun"]
    assert steps == ["begun", "over"]


async def test_its_failure_is_not_that_of_what_it_runs_beside() -> None:
    async def work() -> None:
        raise ValueError

    async with background(work()):
        await asyncio.sleep(0)


def test_pauses_double_up_to_the_most_and_start_anew() -> None:
    backoff = Backoff(1.0, 5.0, (1.0, 1.0))
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert [backoff.next() for _ in range(2)] == [1.0, 2.0]


def test_no_pause_is_longer_than_the_most_however_long_the_first() -> None:
    assert Backoff(1.0, 0.25, (1.0, 1.0)).next() == 0.25


def test_pauses_of_many_are_apart_and_within_their_jitter() -> None:
    pauses = [Backoff(1.0, 5.0, (0.5, 1.5)).next() for _ in range(200)]
    assert 0.5 <= min(pauses) < 0.75
    assert 1.25 < max(pauses) <= 1.5
