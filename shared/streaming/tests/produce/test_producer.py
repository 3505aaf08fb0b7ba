"""Resumable `yield` on real sockets: one run for each key, and nothing lost on any cut."""

import asyncio
import itertools
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from eddyline.errors import SettingsError, UpstreamError
from eddyline.journal.cursor import Cursor
from eddyline.policy import ProducePolicy, StreamPolicy
from eddyline.produce.generator_run import GeneratorRun
from eddyline.produce.yielded import END, ERROR, MOST_DETAIL
from eddyline.store.base import Record, StreamConfig, StreamFollower
from eddyline.store.memory import MemoryStore
from eddyline.testing import PATIENCE, FaultProxy, Stream, eventually, fetch
from eddyline.wire.sse import Event

from .conftest import Script

LINES = {"Accept": "application/x-ndjson"}


async def first(stream: Stream, count: int) -> list[str]:
    return [event.data for event in await stream.events(count)]


async def rest(stream: Stream) -> list[Event]:
    """All events to the end of a body that must end cleanly."""
    events = await stream.events()
    assert stream.clean
    return events


def datas(events: list[Event]) -> list[str]:
    return [event.data for event in events]


def outcome(event: Event) -> tuple[str, str]:
    """The type of a last event, and its reason."""
    return event.event, json.loads(event.data)["reason"]


COMPLETE = (END, "complete")


async def whole(url: str, **headers: str) -> list[str]:
    """The data of a stream that is complete, without its last event."""
    *events, last = await rest(await fetch(url, headers=headers))
    assert outcome(last) == COMPLETE
    return datas(events)


# One run, many clients.


async def test_clients_join_at_any_moment_and_all_get_everything_of_one_run(bench_of):
    script = Script(*"abcdef")
    async with bench_of() as bench:
        bench.makes["k"] = script
        streams = []
        for n in range(6):
            streams.append(await fetch(f"{bench.url}/k"))
            script.go(1)
            assert await first(streams[0], 1) == ["abcdef"[n]]
        script.go(1)
        late = await fetch(f"{bench.url}/k")
        assert [outcome(event) for event in await rest(streams[0])] == [COMPLETE]
        for stream in (*streams[1:], late):
            *events, last = await rest(stream)
            assert (datas(events), outcome(last)) == (list("abcdef"), COMPLETE)
    assert (script.runs, script.closed) == (1, 1)


async def test_a_generator_goes_on_when_all_its_clients_have_left(bench_of):
    script = Script(*"abc")
    async with bench_of() as bench:
        bench.makes["k"] = script
        stream = await fetch(f"{bench.url}/k")
        script.go(1)
        assert await first(stream, 1) == ["a"]
        stream.reset()
        await eventually(lambda: bench.drain.open == 1)  # the generator's own
        script.go(1)
        [feed] = bench.producer._feeds._feeds.values()
        await eventually(lambda: feed.head.sequence == 2)
        assert len(feed.recent) == 0  # nothing is rendered for a stream that nobody reads
        script.go()
        await eventually(lambda: script.closed)
        assert await whole(f"{bench.url}/k") == list("abc")
    assert script.runs == 1


@pytest.mark.parametrize("by", ["header", "query"])
async def test_a_client_resumes_after_any_event(bench_of, by):
    values = [f"value {n}" for n in range(20)]
    async with bench_of() as bench:
        bench.makes["k"] = Script(*values)
        bench.makes["k"].go()
        events = await rest(await fetch(f"{bench.url}/k"))
        assert len({event.id for event in events}) == 21
        for n, event in enumerate(events[:-1]):
            if by == "header":
                stream = await fetch(f"{bench.url}/k", headers={"Last-Event-ID": event.id})
            else:
                stream = await fetch(f"{bench.url}/k?after={event.id}")
            assert await rest(stream) == events[n + 1 :]
    assert bench.makes["k"].runs == 1


async def test_a_client_that_resumes_at_the_newest_event_gets_those_to_come(bench_of):
    async with bench_of() as bench:
        bench.makes["k"] = Script("a", "b")
        stream = await fetch(f"{bench.url}/k")
        bench.makes["k"].go(1)
        [a] = await stream.events(1)
        back = await fetch(f"{bench.url}/k", headers={"Last-Event-ID": a.id})
        assert back.status == 200
        bench.makes["k"].go()
        others = await rest(stream)
        assert datas(others)[0] == "b"
        assert await rest(back) == others


async def test_generators_that_are_not_needed_are_closed(bench_of):
    closed = []

    class Unused:
        def __aiter__(self) -> "Unused":
            return self

        async def __anext__(self) -> str:
            raise AssertionError("it was not to run")

        async def aclose(self) -> None:
            closed.append(1)

    async with bench_of() as bench:
        bench.makes["k"] = Script("a")
        bench.makes["k"].go()
        events = await rest(await fetch(f"{bench.url}/k"))
        bench.makes["k"] = Unused
        assert await rest(await fetch(f"{bench.url}/k")) == events
        assert len(closed) == 1
        assert await rest(await fetch(f"{bench.url}/k?after={events[0].id}")) == events[1:]
        await fetch(f"{bench.url}/k", method="HEAD")
        await fetch(f"{bench.url}/k?after=other.1", method="HEAD")
        assert len(closed) == 4


async def test_the_header_of_a_client_that_came_back_wins_over_its_url(bench_of):
    async with bench_of() as bench:
        bench.makes["k"] = Script(*"abc")
        bench.makes["k"].go()
        events = await rest(await fetch(f"{bench.url}/k"))
        url = f"{bench.url}/k?after={events[0].id}"
        assert await rest(await fetch(url, headers={"Last-Event-ID": events[2].id})) == events[3:]


async def test_a_client_that_has_seen_the_end_is_told_that_there_is_no_more(bench_of):
    async with bench_of() as bench:
        for key, end in (("whole", None), ("failed", OSError("secret"))):
            bench.makes[key] = Script("a", end=end)
            bench.makes[key].go()
            events = await rest(await fetch(f"{bench.url}/{key}"))
            again = await fetch(f"{bench.url}/{key}", headers={"Last-Event-ID": events[-1].id})
            assert (again.status, await again.body()) == (204, b"")
            # The client that was cut before the last event is told it.
            stream = await fetch(f"{bench.url}/{key}", headers={"Last-Event-ID": events[0].id})
            assert await rest(stream) == events[1:]


async def test_a_hundred_clients_cut_anywhere_put_the_same_whole_together(bench_of):
    values = [f"{n}: {'é' * (n % 50)}\nline" for n in range(300)]
    async with bench_of() as bench:
        started = []

        async def paced() -> AsyncIterator[str]:
            started.append(1)
            for n, value in enumerate(values):
                yield value
                if n % 10 == 0:
                    await asyncio.sleep(0.001)  # sleep: the pace of a generator

        bench.makes["k"] = paced
        port = int(bench.url.rsplit(":", 1)[1])
        async with FaultProxy(port) as proxy:
            results = await asyncio.gather(
                *(_through_cuts(f"{proxy.url}/k", proxy, random.Random(n)) for n in range(100))
            )
        cuts = [cuts for _, cuts in results]
        joined = {tuple(datas(events)) for events, _ in results}
        assert len(joined) == 1
        *got, last = joined.pop()
        assert (got, json.loads(last)) == (values, {"reason": "complete"})
        ids = {tuple(event.id for event in events) for events, _ in results}
        assert len(ids) == 1
    assert started == [1]
    assert sum(cuts) > 300


async def _through_cuts(
    url: str, proxy: FaultProxy, chosen: random.Random
) -> tuple[list[Event], int]:
    """All events, as an EventSource puts them together, and how often it was cut on the way."""
    events: list[Event] = []
    for cuts in itertools.count():
        await asyncio.sleep(chosen.random() * 0.05)  # sleep: clients come at random moments
        proxy.cut_after = chosen.randrange(200, 8000)
        headers = {"Last-Event-ID": events[-1].id} if events else {}
        try:
            stream = await fetch(url, headers=headers)
            events += await stream.events()
        except (OSError, asyncio.IncompleteReadError):
            continue
        if events and events[-1].event == END:
            return events, cuts
    raise AssertionError


async def test_a_thousand_small_streams_run_side_by_side(bench_of):
    async with bench_of() as bench:
        runs: dict[str, int] = {}

        def make(key: str) -> Any:
            async def small() -> AsyncIterator[str]:
                runs[key] = runs.get(key, 0) + 1
                for n in range(3):
                    yield f"{key}.{n}"
                    await asyncio.sleep(0)

            return small

        keys = [f"k{n}" for n in range(1000)]
        for key in keys:
            bench.makes[key] = make(key)
        for some in (keys[n : n + 50] for n in range(0, 1000, 50)):
            got = await asyncio.gather(*(whole(f"{bench.url}/{k}") for k in some for _ in range(2)))
            assert got == [[f"{k}.{n}" for n in range(3)] for k in some for _ in range(2)]
        assert runs == dict.fromkeys(keys, 1)
        assert len(bench.store) == 1000
        # Nothing is left of them outside of the store.
        await eventually(lambda: len(bench.producer._feeds) == 0)
        assert bench.store.bytes < 3_000_000


class Late:
    """Passes on all that a follower is told, a moment later."""

    def __init__(self, follower: StreamFollower) -> None:
        self.follower = follower

    def skip(self, head: Cursor) -> None:
        self.follower.skip(head)

    def deliver(self, records: Sequence[Record]) -> None:
        asyncio.get_running_loop().call_later(0.05, self.follower.deliver, records)

    def ended(self, reason: str | None) -> None:
        asyncio.get_running_loop().call_later(0.05, self.follower.ended, reason)


class LateStore(MemoryStore):
    """Its readers are ahead of its followers, as those of a store in another process can be."""

    def follow(self, key: str, follower: StreamFollower) -> AbstractAsyncContextManager[None]:
        return super().follow(key, Late(follower))


async def test_readers_ahead_of_the_followers_of_a_store_get_everything_once(bench_of):
    script = Script(*range(30))
    async with bench_of(store=LateStore) as bench:
        bench.makes["k"] = script
        streams = []
        for _ in range(31):
            streams.append(await fetch(f"{bench.url}/k"))
            script.go(1)
        for stream in streams:
            *events, last = await rest(stream)
            assert datas(events) == [str(n) for n in range(30)]
            assert outcome(last) == COMPLETE


async def test_a_client_that_resumes_ahead_of_the_followers_gets_the_next_record(bench_of):
    script = Script("a", "b")
    async with bench_of(store=LateStore) as bench:
        bench.makes["k"] = script
        await fetch(f"{bench.url}/k")
        script.go(1)
        head = await eventually(lambda: (head := bench.store._streams["k"].head).sequence and head)
        ahead = await fetch(f"{bench.url}/k?after={head}")
        script.go(1)
        assert await first(ahead, 1) == ["b"]
        script.go()


async def test_requests_at_the_same_moment_start_one_run(bench_of):
    script = Script("a")
    async with bench_of() as bench:
        bench.makes["k"] = script
        script.go()
        got = await asyncio.gather(*(whole(f"{bench.url}/k") for _ in range(30)))
    assert got == [["a"]] * 30
    assert script.runs == 1


# Values and formats.


class Model:
    def model_dump(self, mode: str) -> dict[str, str]:
        return {"mode": mode}


async def test_values_arrive_as_they_were_yielded(bench_of):
    values = ["two\nlines", b"bytes \xc3\xa9", {"n": 1.5, "é": [None]}, [1], 7, None, "", Model()]
    async with bench_of() as bench:
        bench.makes["k"] = Script(*values, Event("x", "named"))
        bench.makes["k"].go()
        *events, named, _ = await rest(await fetch(f"{bench.url}/k"))
        assert [event.event for event in events] == ["message"] * 8
        assert datas(events)[:2] == ["two\nlines", "bytes é"]
        assert [json.loads(text) for text in datas(events)[2:6]] == [*values[2:6]]
        assert datas(events)[6:] == ["", '{"mode":"json"}']
        assert (named.event, named.data) == ("named", "x")


async def test_lines_come_to_a_client_that_accepts_them_only(bench_of):
    async with bench_of() as bench:
        bench.makes["k"] = Script("a", {"n": 1}, Event("x", "named"))
        bench.makes["k"].go()
        stream = await fetch(f"{bench.url}/k", headers=LINES)
        assert stream.headers["content-type"].startswith("application/x-ndjson")
        lines = [line async for line in stream.values()]
        assert stream.clean
        assert [(line["event"], line["data"]) for line in lines] == [
            ("message", "a"),
            ("message", {"n": 1}),
            ("named", "x"),
            (END, {"reason": "complete"}),
        ]
        assert all(abs(line["time"] - time.time()) < 60 for line in lines)
        assert all(set(line) == {"id", "time", "event", "data"} for line in lines)
        again = await fetch(f"{bench.url}/k?after={lines[1]['id']}", headers=LINES)
        assert [line async for line in again.values()] == lines[2:]


async def test_a_blocking_generator_runs_beside_the_event_loop(bench_of):
    running = []

    def blocking() -> Iterator[int | None]:
        for n in range(3):
            running.append(time.sleep(0.01))  # sleep: a step that blocks
            yield n or None

    async with bench_of() as bench:
        bench.makes["k"] = blocking
        got = await asyncio.gather(*(whole(f"{bench.url}/k") for _ in range(3)))
    assert got == [["null", "1", "2"]] * 3
    assert len(running) == 3


async def test_a_generator_that_never_waits_leaves_others_their_turn(bench_of):
    async def busy() -> AsyncIterator[int]:
        for n in range(3000):
            yield n

    async with bench_of() as bench:
        bench.makes["k"] = busy
        bench.makes["other"] = Script("a")
        bench.makes["other"].go()
        long = asyncio.create_task(whole(f"{bench.url}/k"))
        await eventually(lambda: bench.producer.running)
        assert await whole(f"{bench.url}/other") == ["a"]
        assert not long.done()
        assert await long == [str(n) for n in range(3000)]


# Errors.


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (OSError("/etc/secret"), "the generator failed: the log of the server has the cause"),
        (UpstreamError("the model is away"), "the model is away"),
        (UpstreamError("x" * 5000), "x" * MOST_DETAIL),
        (SettingsError("/etc/secret"), "the generator failed: the log of the server has the cause"),
        (asyncio.CancelledError(), "the generator failed: the log of the server has the cause"),
        (TimeoutError(), "the generator failed: the log of the server has the cause"),
    ],
)
async def test_an_error_is_told_to_all_and_is_never_a_clean_short_end(
    bench_of, caplog, error, detail
):
    script = Script("a", "b", end=error)
    async with bench_of() as bench:
        bench.makes["k"] = script
        early = [await fetch(f"{bench.url}/k") for _ in range(5)]
        script.go()
        streams = [*early, await fetch(f"{bench.url}/k")]
        with caplog.at_level(logging.ERROR):
            for stream in streams:
                *events, last = await rest(stream)
                assert datas(events) == ["a", "b"]
                assert (last.event, json.loads(last.data)) == (
                    ERROR,
                    {"reason": "failed", "detail": detail},
                )
        lines = await fetch(f"{bench.url}/k", headers=LINES)
        assert [line["event"] async for line in lines.values()][-1] == ERROR
    assert (script.runs, script.closed) == (1, 1)
    # Others arrive too, once a test of another file has configured the logs.
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.key for record in errors] == ["k"]


@pytest.mark.parametrize("value", [object(), b"\xff", "\ud800", {1: 2}, Event("x", "a\nb"), 2**70])
async def test_a_value_that_cannot_be_sent_ends_the_stream_with_an_error(bench_of, value):
    async with bench_of() as bench:
        bench.makes["k"] = Script("a", value, "b")
        bench.makes["k"].go()
        *events, last = await rest(await fetch(f"{bench.url}/k"))
        assert (datas(events), outcome(last)) == (["a"], (ERROR, "failed"))
        await eventually(lambda: bench.makes["k"].closed)


async def test_a_function_that_was_not_called_is_refused(bench_of):
    async with bench_of() as bench:
        with pytest.raises(TypeError, match="Then call it"):
            await bench.producer.response(None, "k", lambda: Script("a"))


@pytest.mark.parametrize("key", [7, b"7", None])
async def test_a_key_that_is_no_text_is_refused(bench_of, key):
    async with bench_of() as bench:
        with pytest.raises(TypeError, match=f"key={key!r}"):
            await bench.producer.response(None, key, Script("a")())


# Cancelling.


async def test_cancelling_ends_the_generator_and_tells_all(bench_of):
    script = Script(*"abc")
    async with bench_of() as bench:
        bench.makes["k"] = script
        streams = [await fetch(f"{bench.url}/k") for _ in range(3)]
        script.go(1)
        for stream in streams:
            assert await first(stream, 1) == ["a"]
        assert await bench.producer.cancel("k")
        await eventually(lambda: script.closed)
        for stream in (*streams, await fetch(f"{bench.url}/k")):
            assert outcome((await rest(stream))[-1]) == (ERROR, "cancelled")
        assert not await bench.producer.cancel("k")
        assert not await bench.producer.cancel("other")
    assert script.runs == 1


async def test_a_generator_that_is_cancelled_at_once_has_an_end_as_well(bench_of):
    script = Script("a")
    async with bench_of() as bench:
        bench.makes["k"] = script
        asking = asyncio.create_task(fetch(f"{bench.url}/k"))
        await eventually(lambda: bench.producer.running)
        assert await bench.producer.cancel("k")
        assert [outcome(e) for e in await rest(await asking)] == [(ERROR, "cancelled")]
        await eventually(lambda: not bench.producer.running)


@pytest.mark.parametrize("by", ["cancelled", "deadline"])
async def test_a_generator_that_catches_its_cancellation_is_ended_at_its_next_value(bench_of, by):
    closed = []

    async def stubborn() -> AsyncIterator[str]:
        try:
            yield "a"
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    yield "b"
        finally:
            closed.append(True)

    kept = ProducePolicy(deadline=0.2) if by == "deadline" else None
    async with bench_of(kept) as bench:
        bench.makes["k"] = stubborn
        stream = await fetch(f"{bench.url}/k")
        assert await first(stream, 1) == ["a"]
        if by == "cancelled":
            await bench.producer.cancel("k")
        assert [outcome(event) for event in await rest(stream)] == [(ERROR, by)]
        await eventually(lambda: closed)


@pytest.mark.parametrize("then", ["returns", "raises"])
async def test_a_generator_that_returns_because_it_was_stopped_is_no_complete_one(bench_of, then):
    async def obedient() -> AsyncIterator[str]:
        yield "a"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if then == "raises":
                raise OSError("in the midst of it") from None

    async with bench_of(ProducePolicy(deadline=0.1)) as bench:
        bench.makes["k"] = obedient
        *events, last = await rest(await fetch(f"{bench.url}/k"))
        assert (datas(events), outcome(last)) == (["a"], (ERROR, "deadline"))


async def test_a_stream_that_ended_before_its_generator_began_does_not_wait_for_a_value(bench_of):
    script = Script("a")
    async with bench_of() as bench:
        written = await bench.store.create("k", StreamConfig())
        await bench.producer.cancel("k")
        run = GeneratorRun(bench.store, bench.producer._feeds, "k", written.info.head, script())
        await asyncio.wait_for(run.run(3600), PATIENCE)
    assert script.runs == 0


async def test_readers_of_a_stream_that_is_deleted_are_sent_back_and_told_that_it_is_gone(bench_of):
    script = Script("a", "b")
    async with bench_of() as bench:
        bench.makes["k"] = script
        stream = await fetch(f"{bench.url}/k")
        script.go(1)
        [a] = await stream.events(1)
        await bench.store.delete("k")
        assert await rest(stream) == []
        assert stream.parser.retry is not None
        await eventually(lambda: script.closed)
        assert (await fetch(f"{bench.url}/k?after={a.id}")).status == 410


async def test_a_blocking_generator_is_closed_after_its_step(bench_of):
    import threading

    leave, closed = threading.Event(), threading.Event()

    def blocking() -> Iterator[str]:
        try:
            yield "a"
            leave.wait(PATIENCE)
            yield "b"
        finally:
            closed.set()

    async with bench_of() as bench:
        bench.makes["k"] = blocking
        stream = await fetch(f"{bench.url}/k")
        assert await first(stream, 1) == ["a"]
        assert await bench.producer.cancel("k")
        # Readers do not wait for the thread.
        assert [outcome(event) for event in await rest(stream)] == [(ERROR, "cancelled")]
        leave.set()
        await eventually(closed.is_set)


# Bounds.


async def test_a_generator_that_yields_more_than_may_be_kept_is_ended_with_an_error(bench_of):
    closed = []

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 1000
        finally:
            closed.append(True)

    async with bench_of(ProducePolicy(max_bytes=100_000)) as bench:
        bench.makes["k"] = endless
        *events, last = await rest(await fetch(f"{bench.url}/k"))
        assert 80 <= len(events) <= 95
        assert outcome(last) == (ERROR, "limit")
        assert "100000 bytes" in json.loads(last.data)["detail"]
        await eventually(lambda: closed)
        assert bench.store.bytes < 105_000


async def test_all_streams_together_stay_below_the_bound(bench_of):
    async with bench_of(ProducePolicy(total_bytes=300_000)) as bench:
        most = 0
        for n in range(50):
            bench.makes[str(n)] = Script(*["x" * 1000] * 20)
            bench.makes[str(n)].go()
            assert len(await whole(f"{bench.url}/{n}")) == 20
            most = max(most, bench.store.bytes)
        assert 250_000 < most <= 300_000
        # The ones that went are told so to clients that come back for them.
        assert (await fetch(f"{bench.url}/0?after=abc.1")).status == 410


async def test_a_store_that_is_full_of_open_streams_ends_a_generator_and_refuses_new_ones(bench_of):
    async with bench_of(ProducePolicy(total_bytes=60_000)) as bench:
        open_ones = {str(n): Script(*["x" * 1000] * 20) for n in range(3)}
        bench.makes |= open_ones
        streams = [await fetch(f"{bench.url}/{n}") for n in range(3)]
        for script in open_ones.values():
            script.go(20)
        ends = []
        for stream in streams:
            events = await stream.events(20)
            ends += [outcome(event) for event in events if event.event == ERROR]
        assert ends == [(ERROR, "limit")]
        assert bench.store.bytes <= 60_000
        for script in open_ones.values():
            script.go()


async def test_a_generator_that_runs_for_too_long_is_ended_with_an_error(bench_of):
    script = Script("a", "b")
    async with bench_of(ProducePolicy(deadline=0.1)) as bench:
        bench.makes["k"] = script
        script.go(1)
        *events, last = await rest(await fetch(f"{bench.url}/k"))
        assert (datas(events), outcome(last)) == (["a"], (ERROR, "deadline"))
        assert "0.1 s" in json.loads(last.data)["detail"]
        await eventually(lambda: script.closed)


async def test_a_slow_reader_holds_back_neither_the_generator_nor_others(bench_of):
    async def fast() -> AsyncIterator[str]:
        for n in range(2000):
            yield f"{n}:{'x' * 1000}"

    async with bench_of() as bench:
        bench.makes["k"] = fast
        slow = await fetch(f"{bench.url}/k", receive_buffer=4096, limit=4096)
        quick = await whole(f"{bench.url}/k")
        assert len(quick) == 2000
        await eventually(lambda: not bench.producer.running)
        *events, last = await rest(slow)
        assert (datas(events), outcome(last)) == (quick, COMPLETE)


# The end of a stream's life.


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_stream_that_has_expired_is_gone_for_those_who_resume_and_new_for_others(bench_of):
    script, clock = Script("a"), Clock()
    async with bench_of(ProducePolicy(ttl=60), clock=clock) as bench:
        bench.makes["k"] = script
        script.go()
        events = await rest(await fetch(f"{bench.url}/k"))
        await eventually(lambda: len(bench.producer._feeds) == 0)
        clock.now += 59
        resumed = await fetch(f"{bench.url}/k", headers={"Last-Event-ID": events[0].id})
        assert await rest(resumed) == events[1:]
        await eventually(lambda: len(bench.producer._feeds) == 0)
        clock.now += 60
        for id in (events[0].id, events[1].id):
            gone = await fetch(f"{bench.url}/k", headers={"Last-Event-ID": id})
            assert (gone.status, (await gone.json())["title"]) == (410, "Gone")
        assert script.runs == 1
        script.go()
        assert await whole(f"{bench.url}/k") == ["a"]
        assert script.runs == 2
        # A cursor of the first life of the key is told, and gets the second life whole.
        old = await fetch(f"{bench.url}/k", headers={"Last-Event-ID": events[0].id})
        reset, a, last = await rest(old)
        assert (reset.event, json.loads(reset.data)["reason"]) == ("eddyline.reset", "epoch")
        assert (a.data, outcome(last)) == ("a", COMPLETE)
        # So it is after a cut right behind the reset.
        assert await rest(await fetch(f"{bench.url}/k?after={reset.id}")) == [a, last]


async def test_a_generator_that_is_silent_for_longer_than_the_time_to_live_goes_on(bench_of):
    script, clock = Script("a", "b"), Clock()
    async with bench_of(ProducePolicy(ttl=60), clock=clock) as bench:
        bench.makes["k"] = script
        stream = await fetch(f"{bench.url}/k")
        script.go(1)
        assert await first(stream, 1) == ["a"]
        stream.reset()
        clock.now += 1000
        script.go()
        assert await whole(f"{bench.url}/k") == ["a", "b"]


async def test_a_client_without_a_generator_can_only_join(bench_of):
    async with bench_of() as bench:
        absent = await fetch(f"{bench.url}/k")
        assert (absent.status, (await absent.json())["title"]) == (404, "Not found")
        bench.makes["k"] = Script("a")
        bench.makes["k"].go()
        await whole(f"{bench.url}/k")
        del bench.makes["k"]
        assert await whole(f"{bench.url}/k") == ["a"]


async def test_a_head_request_starts_nothing(bench_of):
    script = Script("a")
    async with bench_of() as bench:
        bench.makes["k"] = script
        assert (await fetch(f"{bench.url}/k", method="HEAD")).status == 404
        script.go()
        await whole(f"{bench.url}/k")
        head = await fetch(f"{bench.url}/k", method="HEAD")
        assert (head.status, script.runs) == (200, 1)
        assert head.headers["content-type"].startswith("text/event-stream")
        await eventually(lambda: len(bench.producer._feeds) == 0)


@pytest.mark.parametrize("id", ["x", "a.b", "abc.-1", "abc.1.2"])
async def test_an_id_that_is_no_cursor_is_refused(bench_of, id):
    async with bench_of() as bench:
        bench.makes["k"] = Script("a")
        refused = await fetch(f"{bench.url}/k", headers={"Last-Event-ID": id})
        assert (refused.status, (await refused.json())["title"]) == (400, "Bad cursor")
        assert bench.drain.open == 0


async def test_a_cursor_ahead_of_the_stream_is_told_and_gets_it_whole(bench_of):
    async with bench_of() as bench:
        bench.makes["k"] = Script("a")
        bench.makes["k"].go()
        events = await rest(await fetch(f"{bench.url}/k"))
        epoch = events[0].id.split(".")[0]
        reset, *others = await rest(await fetch(f"{bench.url}/k?after={epoch}.9"))
        assert json.loads(reset.data)["reason"] == "future"
        assert others == events


async def test_a_silent_stream_says_that_it_is_alive(bench_of):
    async with bench_of(policy=StreamPolicy(heartbeat=0.2)) as bench:
        bench.makes["k"] = Script("a")
        stream = await fetch(f"{bench.url}/k")
        await stream.read()
        assert b":" in await asyncio.wait_for(stream.read(), PATIENCE)
        bench.makes["k"].go()
        assert datas(await rest(stream))[0] == "a"


# The end of the process.


async def test_a_process_that_stops_ends_its_streams_and_tells_those_who_resume(bench_of):
    script = Script("a", "b")
    async with bench_of() as bench:
        bench.makes["k"] = script
        stream = await fetch(f"{bench.url}/k")
        script.go(1)
        assert await first(stream, 1) == ["a"]
        draining = asyncio.create_task(bench.drain.run())
        assert await rest(stream) == []
        assert stream.parser.retry is not None
        refused = await fetch(f"{bench.url}/k")
        assert refused.status == 503
        # The generator has the window to finish; then its stream says how it ended.
        await draining
        await eventually(lambda: script.closed)
        chunk = await bench.store.read("k", None, 1_000_000)
        assert chunk.info.end == "stopped"
        last = json.loads(chunk.records[-1].data)
        assert (last["event"], last["data"]["reason"]) == (ERROR, "stopped")


async def test_a_generator_may_finish_while_the_process_drains(bench_of):
    script = Script("a", "b")
    async with bench_of() as bench:
        bench.makes["k"] = script
        bench.drain.window = 60.0
        stream = await fetch(f"{bench.url}/k")
        script.go(1)
        assert await first(stream, 1) == ["a"]
        stream.reset()
        draining = asyncio.create_task(bench.drain.run())
        await eventually(lambda: bench.drain.draining)
        script.go()
        async with asyncio.timeout(30):
            await draining
        assert (await bench.store.read("k", None, 0)).info.end == "complete"


async def test_a_generator_that_does_not_end_is_ended_with_its_app(bench_of):
    script = Script("a", "b")
    async with bench_of() as bench:
        bench.makes["k"] = script
        stream = await fetch(f"{bench.url}/k")
        script.go(1)
        assert await first(stream, 1) == ["a"]
        stream.reset()
    assert script.closed == 1
    chunk = await bench.store.read("k", None, 1_000_000)
    assert chunk.info.end == "stopped"
