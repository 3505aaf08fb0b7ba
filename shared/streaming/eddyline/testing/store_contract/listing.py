"""Streams are listed by the beginning of their keys."""

from eddyline.store.base import Batch, StreamConfig, StreamStore
from eddyline.testing.store_contract.helpers import KEPT, forked, gone


async def test_keys_are_listed_by_prefix_in_pages(store: StreamStore) -> None:
    names = [f"a/{n:02}" for n in range(25)]
    for key in [*reversed(names), "a", "b/1", "ä", "a/\U0001f600", "a/￿", "A/1", ""]:
        await store.create(key, KEPT)
    assert await store.list("a/", None, 100) == [*names, "a/￿", "a/\U0001f600"]
    assert await store.list("", None, 4) == ["", "A/1", "a", "a/00"]
    found: list[str] = []
    while page := await store.list("a/", found[-1] if found else None, 7):
        assert len(page) <= 7
        found += page
    assert found == [*names, "a/￿", "a/\U0001f600"]
    assert await store.list("a/1", "a/20", 100) == []
    assert await store.list("a/2", "a/1", 100) == names[20:]


async def test_characters_of_a_prefix_mean_themselves(store: StreamStore) -> None:
    for key in ("a*b", "axb", "a[b", "a?b", "a\\b"):
        await store.create(key, KEPT)
    assert await store.list("a*", None, 10) == ["a*b"]
    assert await store.list("a[", None, 10) == ["a[b"]
    assert await store.list("a\\", None, 10) == ["a\\b"]


async def test_streams_that_are_gone_are_not_listed(store: StreamStore) -> None:
    for key in ("deleted", "kept", "source"):
        await store.create(key, KEPT, Batch([b"x"]))
    await store.create("expired", StreamConfig(ttl=0.05))
    await forked(store, "fork", "source")
    await store.delete("deleted")
    await store.delete("source")
    await gone(store, "expired")
    assert await store.list("", None, 10) == ["fork", "kept"]
