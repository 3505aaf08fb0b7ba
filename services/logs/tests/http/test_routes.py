"""Logs over HTTP, on a real server and port, with real files."""

import asyncio
import gzip
import json
import os
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from eddyline.testing import Running, Stream, eventually, fetch, running
from eddyline.wire.sse import Event
from eddyline_logs.app import create_app
from eddyline_logs.reading import tail, tails
from eddyline_logs.settings import LogsSettings
from eddyline_logs.sources.pods import ContainerChain

KEY = "k" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.fixture(params=["", "httptools"])
async def server(folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """Ours, and plain uvicorn; every stream must have been given back at the end."""
    options = {"http": request.param} if request.param else {}
    async with running(create_app(LogsSettings(sources=str(folder))), **options) as server:
        yield server
        await eventually(lambda: server.app.state.context.limits.open == 0)


@asynccontextmanager
async def opened(url: str, headers: Any = None) -> AsyncIterator[Stream]:
    stream = await fetch(url, headers=headers)
    try:
        yield stream
    finally:
        await stream.close()


def append(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(line + "\n" for line in lines))


def told(events: list[Event]) -> list[str]:
    return [
        json.loads(event.data)["line"] if event.event == "message" else f"<{event.event}>"
        for event in events
    ]


async def test_the_last_lines_and_then_what_comes(server: Running, folder: Path) -> None:
    append(folder / "app.log", *(f"line {n}" for n in range(20)))
    async with opened(f"{server.url}/logs/app.log") as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert told(await stream.events(10)) == [f"line {n}" for n in range(10, 20)]
        append(folder / "app.log", "new")
        event = await stream.event()
        assert event is not None
        assert json.loads(event.data) == {"line": "new", "source": "app.log"}
        assert event.id


async def test_only_the_last_lines(server: Running, folder: Path) -> None:
    append(folder / "app.log", "a", "b", "c")
    async with opened(f"{server.url}/logs/app.log?lines=2&follow=false") as stream:
        assert told(await stream.events()) == ["b", "c", "<end>"]
        assert stream.clean
    async with opened(f"{server.url}/logs/missing.log?follow=false") as stream:
        assert stream.status == 404


async def test_the_last_lines_are_those_of_older_files_too(server: Running, folder: Path) -> None:
    path = folder / "app.log"
    for first in (0, 4):
        append(path, *(f"{n}" for n in range(first, first + 4)))
        path.rename(folder / f"app.log-2026112{first}")
    append(path, "8")
    for query in ("lines=7&follow=false", "lines=7"):
        async with opened(f"{server.url}/logs/app.log?{query}") as stream:
            lines = ["2", "3", "<rotated>", "4", "5", "6", "7", "<rotated>", "8"]
            assert told(await stream.events(9)) == lines
    async with opened(f"{server.url}/logs/app.log?lines=50&follow=false") as stream:
        events = await stream.events()
        assert numbers(events) == list(range(9))
        assert all(event.id for event in events)


async def test_the_last_line_before_a_crash_is_shown(server: Running, folder: Path) -> None:
    (folder / "app.log").write_bytes(b"started\npanic: oom")
    for query in ("follow=false", ""):
        async with opened(f"{server.url}/logs/app.log?{query}") as stream:
            [started, panic] = await stream.events(2)
        assert told([started]) == ["started"]
        assert (panic.event, json.loads(panic.data)["line"]) == ("partial", "panic: oom")


async def test_a_file_that_comes_later(server: Running, folder: Path) -> None:
    async with opened(f"{server.url}/logs/web/later.log") as stream:
        assert told(await stream.events(1)) == ["<waiting>"]
        (folder / "web").mkdir()
        append(folder / "web/later.log", "a", "b")
        assert told(await stream.events(3)) == ["<reading>", "a", "b"]


async def test_rotation_and_truncation_are_told(server: Running, folder: Path) -> None:
    path = folder / "app.log"
    append(path, "old")
    async with opened(f"{server.url}/logs/app.log?lines=0") as stream:
        append(path, "a")
        path.rename(folder / "app.log.1")
        append(path, "b", "b")
        # In between, the name may be seen to be missing.
        seen: list[str] = []
        while len(seen) < 4:
            events = told(await stream.events(1))
            seen += [line for line in events if line not in ("<waiting>", "<reading>")]
        # The last lines of the old file may come after the news of its successor.
        assert seen[:3] in (["a", "<rotated>", "b"], ["<rotated>", "a", "b"])
        path.write_text("c\n")
        while "c" not in seen:
            seen += told(await stream.events(1))
        assert seen[-2:] == ["<truncated>", "c"]


async def test_a_client_that_returns_goes_on_where_it_was(server: Running, folder: Path) -> None:
    path = folder / "app.log"
    append(path, "old")
    url = f"{server.url}/logs/app.log"
    async with opened(url) as stream:
        append(path, "1")
        [_, last] = await stream.events(2)
    append(path, "2", "3")
    async with opened(url, headers={"Last-Event-ID": last.id}) as stream:
        assert told(await stream.events(2)) == ["2", "3"]
    async with opened(f"{url}?lines=5&after={last.id}") as stream:
        assert told(await stream.events(2)) == ["2", "3"]


async def test_a_client_that_saw_old_lines_only_can_return_too(
    server: Running, folder: Path
) -> None:
    append(folder / "app.log", "old")
    async with opened(f"{server.url}/logs/app.log") as stream:
        await stream.event()
        while not stream.parser.last_event_id:
            assert await stream.read()
        last = stream.parser.last_event_id
    append(folder / "app.log", "new")
    async with opened(f"{server.url}/logs/app.log", headers={"Last-Event-ID": last}) as stream:
        assert told(await stream.events(1)) == ["new"]


def numbers(events: list[Event]) -> list[int]:
    return [int(json.loads(e.data)["line"]) for e in events if e.event == "message"]


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """One process after another, or several at once: nothing but the files is common to them."""
    async with running(create_app(LogsSettings(sources=str(folder)))) as server:
        yield f"{server.url}/logs/app.log"
        await eventually(lambda: server.app.state.context.limits.open == 0)


async def read_to(url: str, last: int, after: str) -> list[Event]:
    """The events up to the line `last`."""
    events: list[Event] = []
    async with opened(url, headers={"Last-Event-ID": after}) as stream:
        while numbers(events[-1:]) != [last]:
            events += await stream.events(1)
    return events


async def test_another_process_goes_on_after_the_last_line(folder: Path) -> None:
    path = folder / "app.log"
    append(path, "0")
    async with served(folder) as url, opened(url) as stream:
        append(path, "1", "2")
        [_, one, two] = await stream.events(3)
    assert len(two.id) < 128
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", two.id)
    # Nobody is there while these are written, and the file is rotated twice.
    append(path, *map(str, range(3, 5000)))
    path.rename(folder / "app.log.2")
    append(path, *map(str, range(5000, 9000)))
    path.rename(folder / "app.log.1")
    append(path, *map(str, range(9000, 12_000)))
    async with served(folder) as url:
        for last, first in ((one, 2), (two, 3)):
            events = await read_to(url, 11_999, last.id)
            assert numbers(events) == list(range(first, 12_000))
            assert [e.event for e in events if e.event != "message"] == ["rotated", "rotated"]
        append(path, "12000")
        # Any id of a line that came from a file is one to come back with, too.
        for event in (events[0], events[7000], events[-1]):
            again = await read_to(url, 12_000, event.id)
            wanted = numbers([event])[0] + 1
            assert numbers(again) == list(range(wanted, 12_001))


async def test_lines_that_came_while_nobody_read_are_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "GRACE", 0.05)
    append(folder / "app.log", "0")
    async with running(create_app(LogsSettings(sources=str(folder)))) as server:
        url = f"{server.url}/logs/app.log"
        before = len(os.listdir("/proc/self/fd"))
        async with opened(url) as stream:
            append(folder / "app.log", "1", "2")
            [_, one, _] = await stream.events(3)
        await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)
        append(folder / "app.log", "3")
        assert numbers(await read_to(url, 3, one.id)) == [2, 3]


async def test_two_processes_give_each_line_once(folder: Path) -> None:
    path = folder / "app.log"
    append(path, "0")
    async with served(folder) as one, served(folder) as other:
        async with opened(one) as stream:
            last = (await stream.events(1))[0].id or stream.parser.last_event_id
            while not last:
                assert await stream.read()
                last = stream.parser.last_event_id
        seen = [0]
        for n in range(1, 31):
            append(path, str(n))
            if n % 7 == 0:
                path.rename(folder / f"app.log-202611{n}")
                append(path, str(n + 1000))
            events = await read_to((one, other)[n % 2], n + 1000 * (n % 7 == 0), last)
            seen += numbers(events)
            last = events[-1].id
        expected = [[n, n + 1000] if n % 7 == 0 else [n] for n in range(1, 31)]
        assert seen == [0, *(n for some in expected for n in some)]


async def test_an_id_goes_on_in_the_copy_of_a_truncated_file(folder: Path) -> None:
    path = folder / "app.log"
    append(path, "0")
    async with served(folder) as url, opened(url) as stream:
        append(path, "1")
        [_, last] = await stream.events(2)
    append(path, "2")
    shutil.copy(path, folder / "app.log.1")
    path.write_text("3\n")
    async with served(folder) as url:
        assert told(await read_to(url, 3, last.id)) == ["2", "<rotated>", "3"]


async def test_an_id_goes_on_in_the_compressed_file(folder: Path) -> None:
    path = folder / "app.log"
    append(path, *map(str, range(5000)))
    async with served(folder) as url, opened(f"{url}?after=earliest") as stream:
        last = (await stream.events(1000))[-1]
    for name, first in (("app.log-20261127.gz", 5000), ("app.log-20261128.gz", 10_000)):
        (folder / name).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        append(path, *map(str, range(first, first + 5000)))
    async with served(folder) as url:
        middle = (await read_to(url, 12_000, last.id))[6000]
        for seen in (last, middle):
            events = await read_to(url, 14_999, seen.id)
            assert numbers(events) == list(range(numbers([seen])[0] + 1, 15_000))
            assert {e.event for e in events} == {"message", "rotated"}


async def test_late_lines_reach_a_client_that_comes_back_elsewhere(folder: Path) -> None:
    path = folder / "app.log"
    append(path, "0")
    with path.open("a", buffering=1) as writer:
        path.rename(folder / "app.log.1")
        append(path, "1")
        async with served(folder) as url, opened(f"{url}?lines=1") as stream:
            [one] = await stream.events(1)
            append(path, "2")
            [two] = await stream.events(1)
        assert numbers([one, two]) == [1, 2]
        assert len(two.id) < 128
        writer.write("late\n")
        for after, lines in ((one, ["2", "late"]), (two, ["late"])):
            async with served(folder) as url:
                async with opened(f"{url}?follow=false&after={after.id}") as stream:
                    events = await stream.events()
                    assert told(events) == [*lines, "<end>"]
                # And none of them comes twice, from any of these places.
                async with opened(f"{url}?after={events[-2].id}") as stream:
                    writer.write("later\n")
                    assert told(await stream.events(1)) == ["later"]
            writer.truncate(len("0\nlate\n"))
            writer.seek(0, os.SEEK_END)


async def test_every_event_has_an_id(server: Running, folder: Path) -> None:
    path = folder / "app.log"
    async with opened(f"{server.url}/logs/app.log") as stream:
        events = await stream.events(1)
        append(path, "1")
        events += await stream.events(2)
        assert told(events) == ["<waiting>", "<reading>", "1"]
        assert all(event.id for event in events)
    path.rename(folder / "app.log.1")
    path.write_text("2\nhalf")
    for query in ("", "?follow=false"):
        async with opened(f"{server.url}/logs/app.log{query}") as stream:
            events = await stream.events(4)
            assert [event.event for event in events] == ["message", "rotated", "message", "partial"]
            assert all(event.id for event in events)


async def test_lines_that_the_limit_leaves_out_are_told(folder: Path) -> None:
    append(folder / "app.log", *(f"{n:09}" for n in range(20_000)))
    async with running(create_app(LogsSettings(sources=str(folder), backlog_bytes=1000))) as server:
        for query in ("", "&follow=false"):
            async with opened(f"{server.url}/logs/app.log?lines=10000{query}") as stream:
                [gap, first] = await stream.events(2)
                left_out = int(json.loads(first.data)["line"]) * 10
                fact = {"source": "app.log", "bytes": left_out, "reason": "LOGS_BACKLOG_BYTES"}
                assert (gap.event, json.loads(gap.data)) == ("gap", fact)


async def test_a_gap_has_the_bytes_of_a_file_that_was_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "DELETED_WAIT", 0.05)
    path = folder / "app.log"
    append(path, "0")
    settings = LogsSettings(sources=str(folder), journal_bytes=1000)
    async with running(create_app(settings)) as server:
        url = f"{server.url}/logs/app.log"
        async with opened(url) as stream:
            [zero] = await stream.events(1)
            append(path, *(f"{n:04}" for n in range(1000)))
            await stream.events(1000)
            path.unlink()
            append(path, "new")
            assert told(await stream.events(2)) == ["<rotated>", "new"]
            await eventually(lambda: not deleted_and_open(path))
            async with opened(f"{url}?after={zero.id}") as again:
                [gap, new] = await again.events(2)
        fact = {"source": "app.log", "bytes": 5000, "reason": "gone"}
        assert (json.loads(gap.data), told([new])) == (fact, ["new"])


def deleted_and_open(path: Path) -> bool:
    links = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return f"{path} (deleted)" in links


async def test_a_client_that_had_all_of_a_truncated_file_goes_on(folder: Path) -> None:
    path = folder / "app.log"
    append(path, "0")
    async with served(folder) as url, opened(url) as stream:
        append(path, "1")
        [_, last] = await stream.events(2)
    shutil.copy(path, folder / "app.log.1")
    path.write_text("2\n")
    async with served(folder) as url:
        assert told(await read_to(url, 2, last.id)) == ["<rotated>", "2"]


async def test_lines_that_are_gone_are_told_as_a_gap(folder: Path) -> None:
    path = folder / "app.log"
    append(path, "0")
    async with served(folder) as url, opened(url) as stream:
        append(path, "1")
        [_, last] = await stream.events(2)
    append(path, "2")
    path.unlink()
    async with served(folder) as url:
        async with opened(url, headers={"Last-Event-ID": last.id}) as stream:
            # The file may come back.
            assert told(await stream.events(1)) == ["<waiting>"]
            append(path, "3")
            assert told(await stream.events(2)) == ["<gap>", "3"]
        # The tail may not have seen the file yet.
        events = await read_to(url, 3, last.id)
        [gap, three] = [event for event in events if event.event != "waiting"]
        assert json.loads(gap.data) == {"source": "app.log", "bytes": None, "reason": "gone"}
        assert told([three]) == ["3"]


async def test_lines_that_came_while_a_file_was_waited_for_are_sent(folder: Path) -> None:
    path = folder / "app.log"
    async with served(folder) as url, opened(url) as stream:
        await stream.events(1)
        while not stream.parser.last_event_id:
            assert await stream.read()
        last = stream.parser.last_event_id
    append(path, "1", "2")
    async with served(folder) as url:
        assert numbers(await read_to(url, 2, last)) == [1, 2]


async def test_an_id_of_another_source_is_none(folder: Path) -> None:
    append(folder / "app.log", "0")
    append(folder / "other.log", "0")
    async with served(folder) as url:
        async with opened(url) as stream:
            append(folder / "app.log", "1")
            [_, last] = await stream.events(2)
        for id in (last.id, "4f1d09c2.17", "nonsense"):
            other = url.replace("app.log", "other.log")
            async with opened(other, headers={"Last-Event-ID": id}) as stream:
                assert told(await stream.events(1)) == ["<eddyline.reset>"]


async def test_clients_see_their_own_source_only(server: Running, folder: Path) -> None:
    async with (
        opened(f"{server.url}/logs/a.log") as a,
        opened(f"{server.url}/logs/b.log") as b,
    ):
        await a.events(1)
        await b.events(1)
        append(folder / "a.log", "a")
        append(folder / "b.log", "b")
        assert told(await a.events(2)) == ["<reading>", "a"]
        assert told(await b.events(2)) == ["<reading>", "b"]


async def test_no_line_is_lost_or_doubled_between_backlog_and_live_feed(
    server: Running, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "POLL", 0.005)
    append(folder / "app.log", "0")
    with writing(folder / "app.log") as written:
        readers = []
        for _ in range(20):
            # Each joins when the one before it is live.
            live = asyncio.Event()
            readers.append(asyncio.create_task(follow(f"{server.url}/logs/app.log?lines=20", live)))
            await asyncio.wait_for(live.wait(), 20)
    seen = await asyncio.gather(*readers)
    for numbers in seen:
        assert numbers == list(range(numbers[0], written[-1] + 1))
    assert seen[0][0] < seen[-1][0]


async def follow(url: str, live: asyncio.Event) -> list[int]:
    """The numbers up to the last; lines of the backlog have no id."""
    numbers: list[int] = []
    async with opened(url) as stream:
        while (event := await stream.event()) is not None:
            line = json.loads(event.data)["line"]
            if line == "end":
                break
            numbers.append(int(line))
            if len(numbers) > 20:
                live.set()
    return numbers


@contextmanager
def writing(path: Path) -> Iterator[list[int]]:
    """Numbered lines from a thread, in bursts cut in the midst of a line; then `end`."""
    written = [0]
    stop = threading.Event()

    def write() -> None:
        with path.open("a") as file:
            while not stop.wait(0.001):
                numbers = range(written[-1] + 1, written[-1] + 8)
                text = "".join(f"{n}\n" for n in numbers)
                file.write(text[:-3])
                file.flush()
                file.write(text[-3:])
                file.flush()
                written.extend(numbers)
            file.write("end\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield written
    finally:
        stop.set()
        writer.join()


async def test_the_sources_are_listed(server: Running, folder: Path) -> None:
    append(folder / "my app.log", "a")
    async with opened(f"{server.url}/logs") as stream:
        [source] = (await stream.json())["sources"]
    assert source == {"source": "my app.log", "url": "/logs/my%20app.log"}
    async with opened(f"{server.url}{source['url']}?follow=false") as stream:
        assert told(await stream.events()) == ["a", "<end>"]


@pytest.mark.parametrize(
    "target",
    [
        "/logs/../secret",
        "/logs/..%2fsecret",
        "/logs/%2e%2e/secret",
        "/logs/%2fetc%2fpasswd",
        "/logs//etc/passwd",
        "/logs/app.log%00",
        "/logs/",
        "/logs/link",
    ],
)
async def test_no_way_out(server: Running, folder: Path, target: str) -> None:
    (folder.parent / "secret").write_text("secret\n")
    (folder / "link").symlink_to("../secret")
    async with opened(server.url + target) as stream:
        problem = await stream.body()
        assert (stream.status, stream.headers["content-type"]) == (404, "application/problem+json")
    assert str(folder).encode() not in problem


@pytest.mark.parametrize("query", ["lines=-1", "lines=10001", "lines=x", "follow=maybe"])
async def test_a_bad_parameter_is_named(server: Running, folder: Path, query: str) -> None:
    async with opened(f"{server.url}/logs/app.log?{query}") as stream:
        assert stream.status == 422
        assert query.split("=")[0] in (await stream.json())["detail"]


@pytest.mark.parametrize("path", ["/logs", "/logs/app.log", "/logs/app.log?lines=1"])
async def test_an_unknown_parameter_is_refused_by_its_name(
    server: Running, folder: Path, path: str
) -> None:
    append(folder / "app.log", "a")
    async with opened(f"{server.url}{path}{'&' if '?' in path else '?'}grep=x") as stream:
        assert stream.status == 400
        assert "no parameter 'grep'" in (await stream.json())["detail"]


async def test_a_head_tells_what_a_get_would(server: Running, folder: Path) -> None:
    # RFC 9110 section 9.3.2
    append(folder / "app.log", "a")
    for path, status, kind in (
        ("/logs", 200, "application/json"),
        ("/logs/app.log", 200, "text/event-stream; charset=utf-8"),
        ("/logs/missing.log?follow=false", 404, "application/problem+json"),
    ):
        stream = await fetch(server.url + path, method="HEAD")
        try:
            assert (stream.status, stream.headers["content-type"]) == (status, kind)
        finally:
            await stream.close()


async def test_a_client_that_drops_after_the_first_event_has_passed_over_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "app.log"
    append(path, "0")
    async with served(folder) as url, opened(url) as stream:
        append(path, "1")
        [zero, _] = await stream.events(2)
    away = folder / "away"
    path.rename(away)
    async with served(folder) as url:
        async with opened(url, headers={"Last-Event-ID": zero.id}) as stream:
            [waiting] = await stream.events(1)
            assert (told([waiting]), waiting.id) == (["<waiting>"], zero.id)
        away.rename(path)
        assert numbers(await read_to(url, 1, waiting.id)) == [1]


async def test_a_source_needs_its_scope(folder: Path) -> None:
    append(folder / "mine.log", "a")
    append(folder / "theirs.log", "a")
    settings = LogsSettings(sources=str(folder), auth_key=SecretStr(KEY))
    claims = {"sub": "a", "scope": "logs:read:mine.*", "exp": time.time() + 60}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, KEY, algorithm='HS256')}"}
    async with running(create_app(settings)) as server:

        def get(path: str, headers: Any = headers) -> AbstractAsyncContextManager[Stream]:
            return opened(server.url + path, headers=headers)

        for path, status in (("/logs/mine.log", 200), ("/logs/theirs.log", 403)):
            async with get(path) as stream:
                assert stream.status == status
        async with get("/logs/mine.log", {}) as stream:
            assert stream.status == 401
        async with get("/logs") as stream:
            assert [s["source"] for s in (await stream.json())["sources"]] == ["mine.log"]


@pytest.mark.parametrize(
    "fault",
    [
        "eddyline_logs.reading.tails.Tails.get",
        "eddyline_logs.reading.tail.Tail.announcement",
        "eddyline_logs.reading.tail.Tail.published",
        "eddyline_logs.reading.history.last_lines",
        "eddyline_logs.reading.history.History.start",
        "eddyline.broadcast.broadcast.StreamResponse",
    ],
)
async def test_a_fault_between_admission_and_answer_gives_the_permit_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault")

    append(folder / "app.log", "a")
    settings = LogsSettings(sources=str(folder), limit_streams=1)
    async with running(create_app(settings)) as server:
        url = f"{server.url}/logs/app.log"
        with monkeypatch.context() as patch:
            patch.setattr(fault, broken)
            for _ in range(3):
                async with opened(url + "?after=earliest" * ("start" in fault)) as stream:
                    assert stream.status == 500
                await eventually(lambda: server.app.state.context.limits.open == 0)
        async with opened(url) as stream:
            assert told(await stream.events(1)) == ["a"]


async def test_a_refused_stream_gives_its_permit_back(folder: Path) -> None:
    append(folder / "a.log", "a")
    async with running(create_app(LogsSettings(sources=str(folder), tails=1))) as server:
        async with opened(f"{server.url}/logs/a.log") as followed:
            await followed.events(1)
            async with opened(f"{server.url}/logs/b.log") as stream:
                assert stream.status == 429
            assert server.app.state.context.limits.open == 1


TIME = "2026-11-24T11:00:00.123456789Z"


def cri(*texts: str, tag: str = "F", stream: str = "stdout") -> list[str]:
    """Lines as a container's runtime writes them."""
    return [f"{TIME} {stream} {tag} {text}" for text in texts]


async def test_a_container_is_one_source_through_its_restarts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ContainerChain, "interval", 0.02)
    app = folder / "shop_web-0_uid-1" / "app"
    app.mkdir(parents=True)
    append(app / "0.log", *cri("1"), *cri("2 a", "2 b", tag="P"))
    append(app / "0.log", *cri("oh", stream="stderr"), *cri(" 2 c"))
    async with running(create_app(LogsSettings(sources=f"pods=cri:{folder}"))) as server:
        async with opened(f"{server.url}/logs") as stream:
            [source] = (await stream.json())["sources"]
        assert source["source"] == "pods/shop/web-0/app"
        url = server.url + source["url"]
        async with opened(f"{url}?lines=2&follow=false") as stream:
            assert [json.loads(event.data) for event in await stream.events(2)] == [
                {"line": "oh", "source": source["source"], "time": TIME, "stream": "stderr"},
                {
                    "line": "2 a2 b 2 c",
                    "source": source["source"],
                    "time": TIME,
                    "stream": "stdout",
                },
            ]
        async with opened(f"{url}?lines=1") as stream:
            assert told(await stream.events(1)) == ["2 a2 b 2 c"]
            append(app / "0.log", *cri("3"))
            [last] = await stream.events(1)
            assert told([last]) == ["3"]
        # A client that is away meanwhile misses nothing.
        append(app / "0.log", *cri("4"))
        append(app / "1.log", *cri("5"))
        again = folder / "shop_web-0_uid-2" / "app"
        again.mkdir(parents=True)
        append(again / "0.log", *cri("6"))
        for _ in range(2):
            async with opened(url, headers={"Last-Event-ID": last.id}) as stream:
                lines = ["4", "<rotated>", "5", "<rotated>", "6"]
                assert told(await stream.events(5)) == lines
        async with opened(f"{url}?lines=3") as stream:
            assert told(await stream.events(5)) == ["4", "<rotated>", "5", "<rotated>", "6"]


async def test_pods_of_one_namespace_need_their_scope(folder: Path) -> None:
    for pod in ("mine_a_uid", "theirs_b_uid"):
        (folder / pod / "app").mkdir(parents=True)
        append(folder / pod / "app" / "0.log", *cri("x"))
    settings = LogsSettings(sources=f"pods=cri:{folder}", auth_key=SecretStr(KEY))
    claims = {"sub": "a", "scope": "logs:read:pods/mine/*", "exp": time.time() + 60}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, KEY, algorithm='HS256')}"}
    async with running(create_app(settings)) as server:
        async with opened(f"{server.url}/logs", headers) as stream:
            found = [source["source"] for source in (await stream.json())["sources"]]
        assert found == ["pods/mine/a/app"]
        async with opened(f"{server.url}/logs/pods/theirs/b/app", headers) as stream:
            assert stream.status == 403
