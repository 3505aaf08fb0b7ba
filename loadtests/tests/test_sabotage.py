"""A suite behind a saboteur: the verdict is red and names the fault, and green without one.

Three runs are of a real suite and real load tests. For the other faults replay.py plays recorded
streams of the suite to users: only one byte, event or row is not as the server sent it.
"""

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from eddyline.testing import serving
from loadtests.connection import Chunked
from loadtests.local import Suite, running_suite, several, written_log

pytestmark = pytest.mark.xdist_group("sabotage")

#: The server's own errors are those of test_verdict.py: here slowness is the test machine's.
THRESHOLDS = """
[most]
lost = 0
repeated = 0
reordered = 0
stalled = 0
dirty = 0
resets = 0
refused = 0
failed = 0
"""

#: The event that is missing where one is: of some hundred a second.
MISSING = 3000


class Saboteur:
    """A proxy for HTTP/1.1 that leaves one event out, of all those in the answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            server, upstream = await asyncio.open_connection("127.0.0.1", self._port)
            asking = asyncio.create_task(ask(reader, upstream))
            try:
                while await self._answer(server, writer):
                    pass
            finally:
                asking.cancel()
                await asyncio.wait([asking])
                upstream.close()
                writer.close()

    async def _answer(self, server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether another one may follow."""
        head = await server.readuntil(b"\r\n\r\n")
        writer.write(head)
        fields = head.lower()
        if b"text/event-stream" in fields:
            return await self._events(server, writer)
        # Answers to publishers, and errors, are none of its business.
        length = int(fields.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        writer.write(await server.readexactly(length))
        return True

    async def _events(self, server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        body, rest = Chunked(), b""
        while not body.complete:
            data = await server.read(65536)
            if not data:
                return False
            *parts, rest = (rest + body.feed(data)).split(b"\n\n")
            for part in parts:
                # Cursors and heartbeats are not counted.
                if b"data:" not in part or next(self._numbers) != MISSING:
                    writer.write(b"%x\r\n%b\n\n\r\n" % (len(part) + 2, part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True


async def ask(reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            upstream.write(data)
        upstream.close()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    folder = tmp_path_factory.mktemp("suite")
    with running_suite(folder) as running, written_log(folder / "data" / "logs" / "app.log", 100.0):
        yield running


async def load(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code, and the faults that the verdict names."""
    thresholds = folder / "thresholds.toml"
    thresholds.write_text(THRESHOLDS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests", "--headless", "--only-summary"),
        *("--thresholds", str(thresholds), "--think", "0.2", "--stall", "15", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"LOCUST_LOGLEVEL": "WARNING"} | environment,
    )
    output, errors = (text.decode() for text in await process.communicate())
    print(errors, output)
    assert process.returncode is not None
    # After Locust's own tables.
    assert output.splitlines()[-1] == ("FAILED" if process.returncode else "PASSED")
    named = [line for line in output.splitlines() if re.match(r"FAILED: | {4}\S", line)]
    return process.returncode, "\n".join(named)


async def load_until(
    busy: Callable[[str], bool], folder: Path, *arguments: str, **environment: str
) -> tuple[int, str]:
    """Once more, and for longer, where the machine was too busy for the users to read enough."""
    code, found = await load(folder, *arguments, "-t", "7s", **environment)
    if busy(found):
        code, found = await load(folder, *arguments, "-t", "60s", **environment)
    return code, found


@pytest.mark.parametrize("processes", [[], several(2)], ids=["one process", "master and workers"])
async def test_nothing_is_wrong_with_the_suite(
    suite: Suite, tmp_path: Path, processes: list[str]
) -> None:
    users = ["-u", "60", "-r", "60", "--rows", "500", "--stay", "1", "--pause", "1"]
    code, found = await load_until(
        lambda found: "nothing was received" in found,
        *(tmp_path, *users, *processes),
        **suite.urls(),
    )
    assert (code, found) == (0, "")


async def test_one_event_of_thousands_is_missed(suite: Suite, tmp_path: Path) -> None:
    users = ["-u", "62", "-r", "100", "--publish-rate", "10", "--topics", "1"]
    users += ["--all-topics", "0", "Publisher", "EventSubscriber"]
    async with serving(Saboteur(suite.ports["events"]).serve) as port:
        code, found = await load_until(
            lambda found: found in ("", "FAILED: nothing was received"),
            *(tmp_path, *users, "--host", f"http://127.0.0.1:{port}"),
        )
    assert (code, found) == (1, "FAILED: events: lost 1 event")


#: The seconds between two recorded events, and those of a silence that is a stall.
PACE, STALL = 0.05, 0.6

#: Events and lines that are recorded: they last longer than any case.
EVENTS, LINES = 900, 200


@contextmanager
def answered(port: int, path: str, **asked: Any) -> Iterator[tuple[str, HTTPResponse]]:
    """The head as it came, and the answer, of which nothing is read."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(asked.pop("method", "GET"), path, **asked)
        with connection.getresponse() as answer:
            fields = [f"{name}: {value}" for name, value in answer.getheaders()]
            first = f"HTTP/1.1 {answer.status} {answer.reason}"
            yield "\r\n".join([first, *fields, "", ""]), answer


def items_of(answer: HTTPResponse, end: bytes, item: str) -> Iterator[tuple[bool, str]]:
    """The parts of a body, each with its `end`, and whether `item` is in it."""
    rest = b""
    while data := answer.read1(65536):
        *parts, rest = (rest + data).split(end)
        for part in parts:
            text = (part + end).decode("latin-1")
            yield bool(re.search(item, text, re.DOTALL)), text


def recorded(
    port: int, path: str, items: int, *, end: bytes = b"\n\n", item: str = "", **asked: Any
) -> dict[str, Any]:
    """A stream: its head, the first part where it is no item, and `items` items."""
    preamble: list[str] = []
    found: list[str] = []
    with answered(port, path, **asked) as (head, answer):
        for is_item, text in items_of(answer, end, item):
            (found if is_item else preamble).append(text)
            if len(found) == items:
                break
    return {"head": head, "preamble": preamble[:1], "items": found}


def publish(port: int, began: float) -> None:
    """As a publisher does; the events were due one after the other."""
    events = [
        {
            "topic": "load/0",
            "data": {"n": n, "sent": began + n * PACE, "publisher": "recorded/0"},
        }
        for n in range(1, EVENTS + 1)
    ]
    for first in range(0, EVENTS, 100):
        body = json.dumps(events[first : first + 100])
        headers = {"Content-Type": "application/json"}
        with answered(port, "/events", method="POST", body=body, headers=headers) as (_, answer):
            assert answer.status in (200, 201), answer.read()


def record(ports: dict[str, int], began: float) -> dict[str, Any]:
    """A stream of each kind, as the suite sends it."""
    publish(ports["events"], began)
    # An item has an id: lines from before a client came have none.
    followed = {"item": r"(^|\n)id: .*(^|\n)data: |data: .*\nid: "}
    events = "/events?topic=load/0&after=earliest"
    part = {"Range": "bytes=0-131071"}
    with answered(ports["downloads"], "/download/users.csv", headers=part) as (head, answer):
        file = {"head": head, "preamble": [], "items": [answer.read().decode("latin-1")]}
    asked = {
        "method": "POST",
        "body": json.dumps({"message": "Hello"}),
        "headers": {"Content-Type": "application/json"},
    }
    return {
        "events": recorded(ports["events"], events, EVENTS, **followed),
        "logs": recorded(ports["logs"], "/logs/app.log", LINES, **followed),
        "chat": recorded(ports["chat"], "/chat/stream", 1000, item="data: ", **asked),
        "records": recorded(ports["records"], "/records/users?after=0&limit=100", 100, end=b"\n"),
        "downloads": file,
    }


def case(
    kind: str, users: dict[str, int], expected: str = "", stay: float = 1.0, **ways: Any
) -> dict[str, Any]:
    """`stay`: the seconds after which users drop their streams, and resume them: a line that is
    missing just there would come again.
    """
    return {"kind": kind, "users": users, "expected": expected, "stay": stay} | ways


#: Each subscriber has 20 events a second.
SUBSCRIBERS = {"EventSubscriber": 3}
LOGS, CHAT, ROWS, FILE = (
    {"LogFollower": 3},
    {"ChatReader": 3},
    {"RecordsReader": 3},
    {"Downloader": 3},
)
CALLED = r"events: 1 silence was too long"
UNHEARD = "{}: nothing was received"
SILENT = r"{}: \d+ requests failed\n    a stream that ended without an event and without `retry:`"
SILENT += r" \(\d+\)"

CASES = {
    "events are as they were sent": case("events", SUBSCRIBERS),
    "events, one is missing": case("events", SUBSCRIBERS, "events: lost 1 event", fault="drops 70"),
    "events, one comes twice": case(
        "events", SUBSCRIBERS, "events: 1 event came twice", fault="repeats 70"
    ),
    "events, a silence": case("events", SUBSCRIBERS, CALLED, fault="stalls 70"),
    "events, a cut": case("events", SUBSCRIBERS, "events: 1 stream was cut", fault="cuts 70"),
    "events, a slow reader misses one": case(
        "events", {"SlowReader": 3}, "events: lost 1 event", fault="drops 70"
    ),
    "logs are as they were sent": case("logs", LOGS),
    "logs, a line is missing": case("logs", LOGS, "logs: lost 1 line", fault="drops 70", stay=60),
    "logs, a line comes twice": case(
        "logs", LOGS, "logs: 1 line came twice", fault="repeats 70", stay=60
    ),
    "chat is as it was sent": case("chat", CHAT),
    "chat, a character is missing": case(
        "chat", CHAT, r"chat: lost \d+ characters?", fault="drops 20"
    ),
    "chat, a silence": case("chat", CHAT, "chat: 1 silence was too long", fault="stalls 20"),
    "chat, a number in place of an object": case(
        "chat",
        CHAT,
        r"chat: 1 request failed\n    TypeError: .*int.* \(1\)",
        fault="says_5_for 20",
    ),
    "records are as they were sent": case("records", ROWS),
    "records, rows are missing": case(
        "records", ROWS, r"records: lost \d+ rows?", fault="drops_each 150"
    ),
    "records, cuts": case("records", ROWS, r"records: \d+ streams? \w+ cut", fault="cuts_each 150"),
    "a file is as it was sent": case("downloads", FILE),
    "a file, cuts": case(
        "downloads", FILE, r"downloads: \d+ streams? \w+ cut", fault="cuts_each 100"
    ),
    "a file, other bytes": case(
        "downloads",
        FILE,
        r"downloads: \d+ requests? failed(\n"
        r"    bytes \d+ to \d+ of users.csv: not the checksum that they had before \(\d+\))+",
        fault="changes_a_byte_of_each 100",
    ),
    "a client resumes": case("events", {"Resumer": 3}),
    # A server that begins anew, in place of where the client was, has left something out.
    "a client resumes in vain": case(
        "events", {"Resumer": 3}, r"events: lost \d+ events?", forgetful=True
    ),
    # While all others on its topic hear events.
    "heartbeats alone from the start": case(
        "events", SUBSCRIBERS, CALLED, mute={"nth": 2, "events": 0}
    ),
    "heartbeats alone after some events": case(
        "events", SUBSCRIBERS, CALLED, mute={"nth": 2, "events": 30}
    ),
    "heartbeats alone after a resume": case(
        "events",
        SUBSCRIBERS,
        f"{CALLED}\nevents: 1 stream was cut",
        fault="cuts 70",
        mute={"events": 0},
    ),
}

# All streams end in order, without the events that they should have brought. Another kind of stream
# is as it should be: else nothing at all was received.
CASES |= {
    f"{kind} end after {hollow!r}": case(
        kind, users | {"ChatReader": 2}, expected.replace("{}", kind), hollow=hollow
    )
    for kind, users in (("events", SUBSCRIBERS), ("logs", LOGS))
    for hollow, expected in (
        ("", rf"{SILENT}(\n{UNHEARD})?"),
        (":\n\n", f"{SILENT}\n{UNHEARD}"),
        ("retry: 500\n\n", rf"{{}}: \d+ requests were refused\n{UNHEARD}"),
        (":\n\nretry: 500\n\n", UNHEARD),
    )
}


@pytest.fixture(scope="module")
def verdicts(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The faults that were found in each case."""
    thresholds = tmp_path_factory.mktemp("thresholds") / "thresholds.toml"
    thresholds.write_text(THRESHOLDS)
    arguments = ["--thresholds", thresholds, "--stall", STALL, "--think", 0.2]
    arguments += ["--topics", 1, "--all-topics", 0, "--publishers", 1, "--publish-rate", 1 / PACE]
    arguments += ["--rows", 100, "--last-row", 1, "--range-file", "users.csv"]
    arguments += ["--range-bytes", 2048, "--pause", 1]
    began = time.time()
    given = {
        "began": began,
        "pace": PACE,
        "streams": record(suite.ports, began),
        "arguments": [str(argument) for argument in arguments],
        "cases": list(CASES.values()),
    }
    program = Path(__file__).with_name("replay.py")
    done = subprocess.run(
        [sys.executable, program],
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=100,
    )
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_names_the_fault_of_a_recorded_stream(
    verdicts: dict[str, str], name: str
) -> None:
    assert re.fullmatch(CASES[name]["expected"], verdicts[name]), verdicts[name]
