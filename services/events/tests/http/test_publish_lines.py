"""NDJSON publishing, on real sockets: results while the body is still on its way."""

import asyncio
import resource
import time

import orjson
import pytest

from eddyline.testing import Stream, eventually, fetch, running
from eddyline_events.app import create_app
from eddyline_events.http.publish_lines import Lines
from eddyline_events.settings import EventsSettings

TYPE = {"Content-Type": "application/x-ndjson"}


class Pipe:
    """A publisher whose body is sent as the test goes."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._values = stream.values()
        self._head = False

    @classmethod
    async def open(cls, hub, **headers: str) -> "Pipe":
        pipe = cls(Stream(*await asyncio.open_connection("127.0.0.1", hub.port)))
        fields = {**TYPE, "Transfer-Encoding": "chunked", **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        pipe.stream.writer.write(f"POST /events HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        return pipe

    def send(self, data: bytes) -> None:
        self.stream.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.stream.writer.write(b"0\r\n\r\n")

    async def result(self):
        async with asyncio.timeout(20):
            if not self._head:
                await self.stream.read_head("POST")
                self._head = True
            return await anext(self._values, None)


def line(data: object, topic: str = "a") -> bytes:
    return orjson.dumps({"topic": topic, "data": data}) + b"\n"


async def post(hub, body: bytes, **headers: str) -> tuple[Stream, list]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    stream = await fetch(hub.url + "/events", method="POST", body=body, headers=TYPE | names)
    return stream, [value async for value in stream.values()]


def test_lines_are_cut_anywhere_and_long_ones_not_kept() -> None:
    lines = Lines(10)
    assert lines.feed(b"ab\nc") == [b"ab"]
    assert lines.feed(b"d\n\ne") == [b"cd", b""]
    for _ in range(1000):
        assert lines.feed(b"x" * 1000) == []
        assert len(lines._rest) == 11
    [long] = lines.feed(b"\nlast")
    assert len(long) > 10
    assert lines.end() == [b"last"]


async def test_each_line_is_answered_while_more_is_to_come(hub, subscribed):
    reader = await subscribed(hub)
    pipe = await Pipe.open(hub)
    for number in range(3):
        pipe.send(line(number))
        answer = await pipe.result()
        event = await reader.event()
        assert (event.data, {"id": event.id}) == (str(number), answer)
    pipe.send(b'{"topic": "a", "da')
    pipe.send(b'ta": "in two"}\n' + line("no line end")[:-1])
    assert "id" in await pipe.result()
    pipe.end()
    assert "id" in await pipe.result()
    assert await pipe.result() is None
    assert pipe.stream.clean
    assert [event.data for event in await reader.events(2)] == ["in two", "no line end"]
    assert pipe.stream.headers["content-type"] == "application/x-ndjson"
    await pipe.stream.close()
    await reader.close()


async def test_a_bad_line_is_named_and_the_rest_goes_on(hub_of, subscribed):
    async with hub_of(max_event_bytes=1000) as hub:
        bad = [b"not json\n", b"[1]\n", b"\n", line("x", ""), line("x" * 1001)]
        stream, results = await post(hub, line("first") + b"".join(bad) + line("last"))
        assert stream.status == 200
        assert ["id" in result for result in results] == [True, False, False, False, False, True]
        errors = [(r["line"], r["error"]["status"], r["error"]["detail"]) for r in results[1:-1]]
        assert [error[:2] for error in errors] == [(2, 400), (3, 400), (5, 400), (6, 413)]
        for error, words in zip(errors, ["Invalid JSON", "body:", "topic ''", "1000"], strict=True):
            assert words in error[2]
        reader = await subscribed(hub, "?after=earliest")
        assert [event.data for event in await reader.events(2)] == ["first", "last"]
        await reader.close()


async def test_a_publisher_that_leaves_has_published_whole_lines_only(hub, publish, subscribed):
    reader = await subscribed(hub)
    pipe = await Pipe.open(hub)
    pipe.send(line("whole") + line("half")[:-1])
    assert "id" in await pipe.result()
    pipe.stream.reset()
    await eventually(lambda: hub.app.state.context.limits.open == 1)
    await publish(hub, {"topic": "a", "data": "other"})
    assert [event.data for event in await reader.events(2)] == ["whole", "other"]
    await reader.close()


async def test_only_errors_and_a_summary_where_that_is_preferred(hub):
    body = line("x") * 700 + b"bad\n" + line("y") * 700
    stream, results = await post(hub, body, Prefer="return=minimal")
    assert stream.headers["preference-applied"] == "return=minimal"
    assert [r.get("line") for r in results] == [701, None]
    assert results[-1] == {"published": 1400, "refused": 1}


async def test_the_same_key_again_publishes_nothing(hub, subscribed):
    body = line("x") + b"bad\n" + line("y")
    first = (await post(hub, body, Idempotency_Key="k"))[1]
    again = (await post(hub, body + line("new"), Idempotency_Key="k"))[1]
    assert [again[0], again[2]] == [first[0] | {"replayed": True}, first[2] | {"replayed": True}]
    assert "id" in again[3]
    assert "replayed" not in again[3]
    conflict = (await post(hub, line("other"), Idempotency_Key="k"))[1]
    assert [(r["line"], r["error"]["status"]) for r in conflict] == [(1, 422)]
    reader = await subscribed(hub, "?after=earliest")
    assert [event.data for event in await reader.events(3)] == ["x", "y", "new"]
    await reader.close()


async def test_the_rate_slows_a_stream_down_and_refuses_nothing(hub_of):
    async with hub_of(publish_rate=200) as hub:
        began = time.monotonic()
        results = (await post(hub, line("x") * 600))[1]
        assert time.monotonic() - began > 1
        assert all("id" in result for result in results)
        # One that asks again at once is told when.
        stream = await fetch(hub.url + "/events", method="POST", body=line("x"))
        assert stream.status == 429
        assert int(stream.headers["retry-after"]) > 0
        await stream.close()


async def test_a_drain_ends_it_by_an_error_line(hub_of):
    async with hub_of(drain_window=0.1) as hub:
        pipe = await Pipe.open(hub)
        pipe.send(line("x"))
        assert "id" in await pipe.result()
        stopping = asyncio.create_task(hub.stop())
        answer = await pipe.result()
        assert (answer["line"], answer["error"]["status"]) == (2, 503)
        assert await pipe.result() is None
        assert pipe.stream.clean
        await pipe.stream.close()
        await stopping


async def test_memory_stays_flat_however_long_the_body(hub_of):
    async with hub_of(journal_bytes=1024 * 1024) as hub:
        pipe = await Pipe.open(hub)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sending = asyncio.create_task(send_blocks(pipe, 200))
        await pipe.stream.read_head("POST")
        async with asyncio.timeout(60):
            assert sum([1 async for _ in pipe.stream.values()]) == 100_000
        await sending
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_who_takes_no_results_is_read_no_further_and_ended():
    # On our server: plain uvicorn cannot abort.
    settings = EventsSettings(journal_bytes=1024 * 1024, write_timeout=1)
    async with running(create_app(settings)) as hub:
        pipe = await Pipe.open(hub)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_blocks(pipe, 20_000), 60)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
        await eventually(lambda: hub.app.state.context.limits.open == 0)


async def send_blocks(pipe: Pipe, count: int) -> None:
    block = line("x" * 100) * 500
    for _ in range(count):
        pipe.send(block)
        await pipe.stream.writer.drain()
    pipe.end()
