"""What runs beside something ends with it, and before what follows."""

import asyncio

from eddyline.tasks import background


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
