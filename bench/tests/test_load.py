"""The load client against a small real server: its counts, and its words about failures."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.servers import free_port
from bench.tools import MARKER, BenchError, Load, event_data, request
from eddyline.testing import serving

SECONDS = 30.0  # for one phase; reached only when something is broken
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Frame = Callable[[bytes], list[bytes]]  # an event's data to the chunks that carry it


def whole(data: bytes) -> list[bytes]:
    return [b"data: " + data + b"\n\n"]


@asynccontextmanager
async def hub(
    frame: Frame = whole,
    subscribe: bytes = STREAM,
    publish: bytes = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
    end_after: int = 0,
) -> AsyncIterator[int]:
    """A hub on a real port: GET subscribes, POST publishes its body to all; yields the port."""
    subscribers: list[asyncio.StreamWriter] = []
    published = 0

    async def fan_out(data: bytes) -> None:
        nonlocal published
        published += 1
        for subscriber in subscribers:
            for chunk in frame(data):
                subscriber.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if published == end_after:
                subscriber.write(b"0\r\n\r\n")
                subscriber.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET"):
                    writer.write(subscribe)
                    subscribers.append(writer)
                    continue
                length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                writer.write(publish)
                await fan_out(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with serving(serve) as port:
        yield port


def options(connections: int, *more: str) -> list[str]:
    """Ten events in a tenth of a second."""
    return [
        *("--subscribe", request("GET /events")),
        *("--publish", request("POST /events", (), event_data(120))),
        *("--connections", str(connections), "--rate", "100", "--seconds", "0.1"),
        *more,
    ]


async def measured(
    programs: Path, port: int, connections: int = 5, *more: str
) -> list[dict[str, Any]]:
    """Every phase of a run in mode sse."""

    def run() -> list[dict[str, Any]]:
        with Load(programs / "load", "sse", port, *options(connections, *more)) as load:
            reports = [load.report(SECONDS)]
            for _ in range(2 if "--stall" in more else 1):
                load.go()
                reports.append(load.report(SECONDS))
            return reports

    return await asyncio.to_thread(run)


async def test_every_delivery_is_counted_once(programs: Path) -> None:
    async with hub() as port:
        ready, result = await measured(programs, port, 20)
    assert ready["ready"] == 20
    assert result["published"] == result["accepted"] == result["events"] == 10
    assert result["delivered"] == 200
    assert result["complete"] == 20
    assert (result["duplicates"], result["closed"], result["failed"], result["failure"]) == (
        0,
        0,
        0,
        "",
    )
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]


@pytest.mark.parametrize("size", [1, 7, 35, 64])
async def test_a_marker_split_over_chunks_is_found(programs: Path, size: int) -> None:
    def split(data: bytes) -> list[bytes]:
        return [data[i : i + size] for i in range(0, len(data), size)]

    async with hub(split) as port:
        _, result = await measured(programs, port)
    assert (result["delivered"], result["complete"], result["duplicates"]) == (50, 5, 0)


async def test_what_only_looks_like_a_marker_is_not_counted(programs: Path) -> None:
    def disguised(data: bytes) -> list[bytes]:
        return [b"~~ben~bench.123.~bench." + b"1" * 19 + b".1234567x~", b"~bench" + data, b"~"]

    async with hub(disguised) as port:
        _, result = await measured(programs, port)
    assert (result["delivered"], result["complete"]) == (50, 5)


async def test_a_duplicate_is_told_from_a_delivery(programs: Path) -> None:
    async with hub(lambda data: whole(data) * 2) as port:
        _, result = await measured(programs, port, 5, "--linger", "0.2")
    assert result["duplicates"] > 0
    assert result["duplicates"] <= result["delivered"] - result["duplicates"]


async def test_a_refused_subscriber_is_reported(programs: Path) -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    async with hub(subscribe=refusal) as port:
        ready, _ = await measured(programs, port, 5, "--linger", "0.1")
    assert (ready["ready"], ready["failed"]) == (0, 5)
    assert ready["failure"] == "HTTP/1.1 503 Service Unavailable"


async def test_a_refused_publish_is_reported(programs: Path) -> None:
    refusal = b'HTTP/1.1 403 "No"\r\nContent-Length: 0\r\n\r\n'
    async with hub(publish=refusal) as port:
        _, result = await measured(programs, port)
    assert (result["publish_errors"], result["accepted"]) == (10, 0)
    assert result["failure"] == "HTTP/1.1 403 'No'"


async def test_a_subscriber_that_the_server_ends_is_reported(programs: Path) -> None:
    async with hub(end_after=3) as port:
        _, result = await measured(programs, port, 5, "--linger", "0.1")
    assert (result["delivered"], result["complete"], result["ended"]) == (15, 0, 5)


async def test_stalled_readers_get_everything_when_they_read_again(programs: Path) -> None:
    async with hub() as port:
        _, stalled, result = await measured(programs, port, 5, "--stall")
    assert (stalled["stalled"], stalled["published"]) == (5, 10)
    assert (result["delivered"], result["complete"]) == (50, 5)


async def test_a_server_that_does_not_answer_is_not_asked_without_end(programs: Path) -> None:
    """Nothing is ever answered: each connection waits with one event, the rest is not sent."""
    async with hub(publish=b"") as port:
        _, result = await measured(programs, port, 1, "--rate", "1000", "--linger", "0.2")
    assert result["events"] == 100
    assert result["published"] == 32


async def test_nobody_listens(programs: Path) -> None:
    with pytest.raises(BenchError, match="Connection refused"):
        await measured(programs, free_port())


async def test_a_publish_without_a_marker_is_refused(programs: Path) -> None:
    with pytest.raises(BenchError, match="with a marker"):
        await measured(programs, 1, 1, "--publish", request("POST /events", (), "none"))


def fetch(programs: Path, mode: str, port: int, *more: str) -> dict[str, Any]:
    with Load(programs / "load", mode, port, "--subscribe", request("GET /file"), *more) as load:
        return load.report(SECONDS)


@asynccontextmanager
async def file_server(answer: bytes, keep: bool = False) -> AsyncIterator[int]:
    """Gives the answer to every request; closes after the first unless told to keep on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
                if not keep:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async with serving(serve) as port:
        yield port


async def test_get_counts_bytes_to_the_announced_length(programs: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + bytes(500000)
    async with file_server(answer) as port:
        result = await asyncio.to_thread(
            fetch, programs, "get", port, "--connections", "3", "--seconds", "30"
        )
    assert (result["bytes"], result["ended"], result["closed"]) == (1500000, 3, 0)
    assert 0 < result["first_byte"] <= result["seconds"]


async def test_get_tells_a_download_that_was_cut_off(programs: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + bytes(1000)
    async with file_server(answer) as port:
        result = await asyncio.to_thread(fetch, programs, "get", port, "--seconds", "30")
    assert (result["bytes"], result["ended"], result["closed"]) == (1000, 0, 1)


async def test_requests_follow_one_another(programs: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    async with file_server(answer, keep=True) as port:
        result = await asyncio.to_thread(
            fetch, programs, "requests", port, "--connections", "2", "--seconds", "0.2"
        )
    assert result["requests"] > 2
    assert (result["failed"], result["closed"]) == (0, 0)


async def test_requests_need_an_announced_length(programs: Path) -> None:
    async with file_server(b"HTTP/1.1 200 OK\r\n\r\nhello", keep=True) as port:
        result = await asyncio.to_thread(fetch, programs, "requests", port, "--seconds", "30")
    assert (result["failed"], result["failure"]) == (1, "a response without Content-Length")


async def test_requests_follow_chunked_answers(programs: Path) -> None:
    async with file_server(STREAM + b"5\r\nhello\r\n0\r\n\r\n", keep=True) as port:
        result = await asyncio.to_thread(fetch, programs, "requests", port, "--seconds", "0.2")
    assert result["requests"] > 2
    assert (result["failed"], result["closed"]) == (0, 0)


async def test_requests_go_on_over_new_connections_where_each_is_closed(programs: Path) -> None:
    async with file_server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") as port:
        result = await asyncio.to_thread(fetch, programs, "requests", port, "--seconds", "0.2")
    assert result["requests"] > 2
    assert (result["failed"], result["closed"]) == (0, 0)


async def test_each_event_is_for_one_of_all_topics(programs: Path) -> None:
    """Two topics for each of three connections, counted up; events go over all of them."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(head.split()[1])
                if head.startswith(b"GET"):
                    writer.write(STREAM)
                    continue
                length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    places = "@@@@@@"
    more = ["--subscribe", request(f"GET /{places}/{places}"), "--topics", "2", "--linger", "0.1"]
    more += ["--publish", request(f"POST /{places}", (), event_data(120))]
    async with serving(serve) as port:
        _, result = await measured(programs, port, 3, *more)
    assert sorted(asked[:3]) == [b"/000000/000001", b"/000002/000003", b"/000004/000005"]
    assert set(asked[3:]) == {f"/00000{n}".encode() for n in range(6)}
    assert result["expected"] == result["published"] == 10


def test_event_data_has_the_size_asked_for() -> None:
    assert event_data(120).startswith(MARKER)
    assert len(event_data(120)) == 120
