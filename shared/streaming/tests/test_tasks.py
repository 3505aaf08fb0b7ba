"""Background work ends with the block that it runs beside; pauses between attempts grow."""

import asyncio
import logging

import pytest

from eddyline import tasks
from eddyline.errors import Unavailable
from eddyline.tasks import Backoff, WriteBehind, background
from eddyline.testing import eventually


async def test_it_runs_meanwhile_and_is_over_at_the_end() -> None:
    steps: list[str] = []

    async def work() -> None:
        steps.append("begun")
        try:
            await asyncio.Event().wait()
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


class Store:
    """Notes each batch; `failure` is raised in place of that."""

    def __init__(self) -> None:
        self.batches: list[dict[str, int]] = []
        self.asked = 0
        self.failure: Exception | None = None

    async def write(self, changes: dict[str, int]) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        await asyncio.sleep(0)
        self.batches.append(changes)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(tasks, "RETRY", 0.01)
    return Store()


async def test_changes_are_written_in_their_order_and_so_many_together(store: Store) -> None:
    behind = WriteBehind(store.write, together=2)
    async with behind.run():
        for number, key in enumerate("abc"):
            behind.put(key, number)
        await eventually(lambda: len(store.batches) == 2)
        behind.put("d", 3)
        await eventually(lambda: len(store.batches) == 3)
    assert store.batches == [{"a": 0, "b": 1}, {"c": 2}, {"d": 3}]


async def test_changes_that_linger_are_written_once_and_at_the_end_at_once(store: Store) -> None:
    behind = WriteBehind(store.write, together=9, linger=60, patience=60)
    async with asyncio.timeout(20):
        async with behind.run():
            behind.put("a", 1)
            behind.put("b", 1)
            await asyncio.sleep(0)
            behind.put("a", 2)
            assert behind.drop("b")
            assert not behind.drop("b")
        behind = WriteBehind(store.write, together=9, linger=60, patience=60)
        async with behind.run():
            behind.put("c", 3)
    assert store.batches == [{"a": 2}, {"c": 3}]


async def test_a_store_that_was_away_gets_older_changes_first(store: Store) -> None:
    async def write(changes: dict[str, int]) -> None:
        if not store.asked:
            behind.put("c", 2)
            behind.put("a", 2)
            store.failure = Unavailable("away")
        try:
            await store.write(changes)
        finally:
            store.failure = None

    behind = WriteBehind(write, together=9)
    async with behind.run():
        behind.put("a", 1)
        behind.put("b", 1)
        await eventually(lambda: bool(store.batches))
    assert store.asked == 2
    assert [list(batch.items()) for batch in store.batches] == [[("a", 2), ("b", 1), ("c", 2)]]


async def test_the_end_asks_a_store_that_is_away_once_or_for_as_long_as_it_has_patience(
    store: Store,
) -> None:
    store.failure = Unavailable("away")
    for patience, least in ((0.0, 1), (0.1, 2)):
        store.asked = 0
        async with asyncio.timeout(20):
            behind = WriteBehind(store.write, together=9, patience=patience)
            async with behind.run():
                behind.put("a", 1)
        assert store.asked >= least
        assert patience or store.asked == 1


async def test_changes_that_a_store_cannot_take_are_logged_and_stop_no_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    behind = WriteBehind(store.write, together=9)
    store.failure = ValueError("no number")
    with caplog.at_level(logging.ERROR, "eddyline.tasks"):
        async with behind.run():
            behind.put("a", 1)
            await eventually(lambda: store.asked == 1 and bool(caplog.records))
            store.failure = None
            behind.put("b", 2)
    assert store.batches == [{"b": 2}]
    assert "changes could not be written, and are lost: 1" in caplog.text
