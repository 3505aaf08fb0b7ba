"""A suite behind a saboteur: the verdict is red and names the fault, and green without one.

The suite, the load test and the proxy between them are real: only one byte, event or row of
thousands is not as the server sent it.
"""

import asyncio
import itertools
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
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

#: 100 subscribers with 20 events a second each.
EVENTS = ["-u", "102", "-r", "100", "-t", "9s", "--publish-rate", "10", "--topics", "1"]
EVENTS += ["--all-topics", "0", "Publisher", "EventSubscriber"]

#: The blocks of an event stream, the lines of records, or the bytes of a file, one after the other.
Fault = Callable[[int, bytes], "bytes | float | None"]
"""What becomes of one: other bytes, seconds to wait before it, or None: the connection ends."""


def honest(number: int, part: bytes) -> bytes:
    return part


def drops_one_in_10_000(number: int, part: bytes) -> bytes:
    return b"" if number % 10_000 == 0 else part


def drops(at: int) -> Fault:
    return lambda number, part: b"" if number == at else part


def repeats(at: int) -> Fault:
    return lambda number, part: part * 2 if number == at else part


def stalls(at: int) -> Fault:
    return lambda number, part: 3.0 if number == at else part


def cuts(at: int) -> Fault:
    return lambda number, part: None if number == at else part


# Readers of records and files drop streams themselves: a fault may lie behind their last byte.


def drops_each(nth: int) -> Fault:
    return lambda number, part: part if number % nth else b""


def says_5_for(at: int) -> Fault:
    return lambda number, part: b"data: 5\n\n" if number == at else part


def cuts_each(nth: int) -> Fault:
    return lambda number, part: part if number % nth else None


def changes_a_byte_of_each(nth: int) -> Fault:
    return lambda number, part: part if number % nth else part[:-1] + bytes([part[-1] ^ 1])


class Saboteur:
    """A proxy for HTTP/1.1 that counts the answers' bytes, and does `fault` to them."""

    def __init__(
        self,
        port: int,
        fault: Fault,
        *,
        forgetful: bool = False,
        hollow: bytes | None = None,
        mute: Callable[[bytes], int | None] = lambda request: None,
    ) -> None:
        self._port = port
        self._fault = fault
        #: It does not pass on where a client was.
        self._forgetful = forgetful
        #: The bytes in place of an event stream, which ends then.
        self._hollow = hollow
        #: After how many events a stream has nothing but comments, by its request.
        self._mute = mute
        self._muted: dict[asyncio.StreamWriter, int] = {}
        self._numbers = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            server, upstream = await asyncio.open_connection("127.0.0.1", self._port)
            asking = asyncio.create_task(self._ask(reader, upstream, writer))
            try:
                while await self._answer(server, writer):
                    pass
            finally:
                asking.cancel()
                await asyncio.wait([asking])
                upstream.close()
                writer.close()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if (events := self._mute(data)) is not None:
                    self._muted[writer] = events
                if self._forgetful:
                    data = data.replace(b"Last-Event-ID", b"Next-Event-ID")
                upstream.write(data)
            upstream.close()

    async def _answer(self, server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether another one may follow."""
        head = await server.readuntil(b"\r\n\r\n")
        writer.write(head)
        fields = head.lower()
        if self._hollow is not None and b"text/event-stream" in fields:
            writer.write((chunk(self._hollow) if self._hollow else b"") + b"0\r\n\r\n")
            return False
        if b"transfer-encoding: chunked" in fields:
            separator = b"\n\n" if b"text/event-stream" in fields else b"\n"
            return await self._chunks(server, writer, separator)
        length = int(fields.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while length:
            if not (data := await server.read(min(length, 65536))):
                return False
            length -= len(data)
            # Answers to publishers, and errors, are none of its business.
            if b"accept-ranges" in fields and await self._done(writer, data, bytes):
                return False
            if b"accept-ranges" not in fields:
                writer.write(data)
        return True

    async def _chunks(
        self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, separator: bytes
    ) -> bool:
        body, rest = Chunked(), b""
        while not body.complete:
            data = await server.read(65536)
            if not data:
                return False
            *parts, rest = (rest + body.feed(data)).split(separator)
            for part in parts:
                if await self._done(writer, part + separator, chunk):
                    return False
        writer.write(b"0\r\n\r\n")
        return True

    async def _done(
        self, writer: asyncio.StreamWriter, part: bytes, frame: Callable[[bytes], bytes]
    ) -> bool:
        """Sends the sabotaged bytes; returns whether that was the end."""
        becomes: bytes | float | None = part
        # Cursors and heartbeats are not counted.
        if b"data:" in part or frame is bytes or part.endswith(b"}\n"):
            becomes = self._fault(next(self._numbers), part)
            if writer in self._muted:
                self._muted[writer] -= 1
                becomes = becomes if self._muted[writer] >= 0 else b":\n\n"
        if becomes is None:
            return True
        if isinstance(becomes, float):
            await writer.drain()
            await asyncio.sleep(becomes)
            becomes = part
        if becomes:
            writer.write(frame(becomes))
            await writer.drain()
        return False


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    folder = tmp_path_factory.mktemp("suite")
    with running_suite(folder) as running, written_log(folder / "data" / "logs" / "app.log", 20.0):
        yield running


@asynccontextmanager
async def saboteur(port: int, fault: Fault, **ways: Any) -> AsyncIterator[str]:
    async with serving(Saboteur(port, fault, **ways).serve) as own:
        yield f"http://127.0.0.1:{own}"


async def load(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code, and the faults that the verdict names."""
    thresholds = folder / "thresholds.toml"
    thresholds.write_text(THRESHOLDS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests", "--headless", "--only-summary"),
        *("--thresholds", str(thresholds), "--think", "0.2", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"LOCUST_LOGLEVEL": "WARNING"} | environment,
    )
    output, errors = (text.decode() for text in await process.communicate())
    print(errors, output)
    assert process.returncode is not None
    named = [line for line in output.splitlines() if re.match(r"FAILED| {4}\S", line)]
    return process.returncode, "\n".join(named)


async def load_until(named: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """Once more, and for longer, where the machine was too busy for the fault to come."""
    code, found = await load(folder, *arguments)
    if named and found in ("", "FAILED: nothing was received"):
        code, found = await load(folder, *arguments, "-t", "40s")
    return code, found


@pytest.mark.parametrize("processes", [[], several(2)], ids=["one process", "master and workers"])
async def test_nothing_is_wrong_with_the_suite(
    suite: Suite, tmp_path: Path, processes: list[str]
) -> None:
    users = ["-u", "60", "-r", "60", "-t", "8s", "--rows", "500", "--stay", "1", "--pause", "1"]
    code, found = await load(tmp_path, *users, *processes, **suite.urls())
    assert (code, found) == (0, "")


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (honest, ""),
        (drops_one_in_10_000, "FAILED: events: lost 1 event"),
        (repeats(7000), "FAILED: events: 1 event came twice"),
        (stalls(7000), "FAILED: events: 1 silence was too long"),
        (cuts(7000), "FAILED: events: 1 stream was cut"),
    ],
    ids=["honest", "drops", "repeats", "stalls", "cuts"],
)
async def test_events(suite: Suite, tmp_path: Path, fault: Fault, named: str) -> None:
    async with saboteur(suite.ports["events"], fault) as url:
        code, found = await load_until(named, tmp_path, *EVENTS, "--host", url)
    assert found == named
    assert code == bool(named)


SOME = ["-u", "5", "-r", "5", "-t", "6s"]
LOGS = "LogFollower --stay 3"
CHAT = "ChatReader"
ROWS = "RecordsReader --rows 500"
FILE = "Downloader --range-file users.csv --range-bytes 16384"
SLOW = "Publisher SlowReader --publishers 1 --pause 1 --publish-rate 20 --topics 1"


@pytest.mark.parametrize(
    ("service", "users", "fault", "named"),
    [
        ("logs", LOGS, drops(100), "FAILED: logs: lost 1 line"),
        ("logs", LOGS, repeats(300), "FAILED: logs: 1 line came twice"),
        ("chat", CHAT, drops(100), "FAILED: chat: lost 1 character"),
        ("chat", CHAT, stalls(300), "FAILED: chat: 1 silence was too long"),
        (
            "chat",
            CHAT,
            says_5_for(300),
            r"FAILED: chat: 1 request failed\n    TypeError: .*int.* \(1\)",
        ),
        ("records", ROWS, drops_each(700), r"FAILED: records: lost \d+ rows?"),
        ("records", ROWS, cuts_each(700), r"FAILED: records: \d+ streams? \w+ cut"),
        ("downloads", FILE, cuts_each(100), r"FAILED: downloads: \d+ streams? \w+ cut"),
        (
            "downloads",
            FILE,
            changes_a_byte_of_each(100),
            r"FAILED: downloads: \d+ requests? failed(\n"
            r"    bytes \d+ to \d+ of users.csv: not the checksum that they had before \(\d+\))+",
        ),
        ("events", SLOW, drops(100), "FAILED: events: lost 1 event"),
    ],
)
async def test_other_streams(
    suite: Suite, tmp_path: Path, service: str, users: str, fault: Fault, named: str
) -> None:
    async with saboteur(suite.ports[service], fault) as url:
        code, found = await load_until(named, tmp_path, *users.split(), *SOME, "--host", url)
    assert re.fullmatch(named, found)
    assert code == bool(named)


@pytest.mark.parametrize("forgetful", [False, True])
async def test_who_resumes(suite: Suite, tmp_path: Path, forgetful: bool) -> None:
    """A server that begins anew, in place of where the client was, has left something out."""
    async with saboteur(suite.ports["events"], honest, forgetful=forgetful) as url:
        users = "Publisher Resumer --publishers 1 --publish-rate 50 --topics 1 --stay 1"
        code, found = await load(tmp_path, "--host", url, *SOME, *users.split())
    assert re.fullmatch(r"FAILED: events: lost \d+ events" if forgetful else "", found)
    assert code == forgetful


UNHEARD = "FAILED: {}: nothing was received"
SILENT = (
    r"FAILED: {}: \d+ requests failed\n"
    r"    a stream that ended without an event and without `retry:` \(\d+\)"
)


@pytest.mark.parametrize("kind", ["events", "logs"])
@pytest.mark.parametrize(
    ("hollow", "named"),
    [
        (b"", rf"{SILENT}(\n{UNHEARD})?"),
        (b":\n\n", f"{SILENT}\n{UNHEARD}"),
        (b"retry: 500\n\n", rf"FAILED: {{}}: \d+ requests were refused\n{UNHEARD}"),
        (b":\n\nretry: 500\n\n", UNHEARD),
    ],
)
async def test_who_is_told_nothing(
    suite: Suite, tmp_path: Path, kind: str, hollow: bytes, named: str
) -> None:
    """All streams end in order, without the events that they should have brought."""
    users = {"events": "Publisher EventSubscriber", "logs": "LogFollower"}[kind]
    users += " ChatReader --chat-readers 10 --publishers 1"
    async with saboteur(suite.ports[kind], honest, hollow=hollow) as url:
        # Another one is as it should be: else nothing at all was received.
        urls = suite.urls() | {f"{kind.upper()}_URL": url}
        code, found = await load(tmp_path, *SOME, "-t", "4s", *users.split(), **urls)
    assert re.fullmatch(named.replace("{}", kind), found)
    assert code


def nth_subscriber(nth: int) -> Callable[[bytes], bool]:
    numbers = itertools.count(1)
    return lambda request: request.startswith(b"GET") and next(numbers) == nth


def resumed(request: bytes) -> bool:
    return b"Last-Event-ID" in request


@pytest.mark.parametrize(
    ("who", "events", "fault", "named"),
    [
        (nth_subscriber(50), 0, honest, ""),
        (nth_subscriber(50), 30, honest, ""),
        (resumed, 0, cuts(2000), "\nFAILED: events: 1 stream was cut"),
    ],
    ids=["from the start", "after some events", "after a resume"],
)
async def test_who_hears_heartbeats_alone(
    suite: Suite,
    tmp_path: Path,
    who: Callable[[bytes], bool],
    events: int,
    fault: Fault,
    named: str,
) -> None:
    """While all others on its topic hear events."""

    def mute(request: bytes) -> int | None:
        return events if who(request) else None

    async with saboteur(suite.ports["events"], fault, mute=mute) as url:
        code, found = await load_until(named, tmp_path, *EVENTS, "--host", url)
    assert found == f"FAILED: events: 1 silence was too long{named}"
    assert code
