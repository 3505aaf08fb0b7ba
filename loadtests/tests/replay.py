"""Plays recorded streams to the users of the load test, with a fault in each, and prints verdicts.

A program of its own, because Locust replaces the sockets of its process. All cases play at once,
each with users, measures and a verdict of its own. Reads JSON, and prints the faults of each case.
"""

import itertools
import json
import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import gevent
from gevent.server import StreamServer
from locust.env import Environment

from loadtests import knobs, run, users
from loadtests.topic import Topic
from loadtests.users.downloads import Blocks

#: Seconds for which each case plays; and for which it may go on until its fault is found.
PLAYED, PATIENCE = 5.0, 40.0

#: Bytes of a file that a fault may lie in.
SLICE = 2048

Fault = Callable[[int, bytes], "bytes | float | None"]
"""What becomes of an event, a row or a slice: other bytes, seconds to wait before it, or None: the
connection ends."""


def honest(number: int, part: bytes) -> bytes:
    return part


def drops(at: int) -> Fault:
    return lambda number, part: b"" if number == at else part


def repeats(at: int) -> Fault:
    return lambda number, part: part * 2 if number == at else part


def stalls(at: int) -> Fault:
    return lambda number, part: 2.0 if number == at else part


def cuts(at: int) -> Fault:
    return lambda number, part: None if number == at else part


# Readers of records and files drop streams themselves: a fault may lie behind their last byte.


def drops_each(nth: int) -> Fault:
    return lambda number, part: part if number % nth else b""


def cuts_each(nth: int) -> Fault:
    return lambda number, part: part if number % nth else None


def changes_a_byte_of_each(nth: int) -> Fault:
    return lambda number, part: part if number % nth else part[:-1] + bytes([part[-1] ^ 1])


def says_5_for(at: int) -> Fault:
    return lambda number, part: b"data: 5\n\n" if number == at else part


FAULTS = (drops, repeats, stalls, cuts, drops_each, cuts_each, changes_a_byte_of_each, says_5_for)


def fault(text: str) -> Fault:
    """`drops 100`; nothing: no fault."""
    name, _, argument = text.partition(" ")
    return {made.__name__: made for made in FAULTS}[name](int(argument)) if text else honest


@dataclass
class Recorded:
    """A stream as a service sent it: its head, the parts before the first item, and the items."""

    head: bytes
    preamble: list[bytes]
    items: list[bytes]
    #: The items' places by their ids.
    places: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Recorded":
        preamble, items = ([p.encode("latin-1") for p in found[k]] for k in ("preamble", "items"))
        made = cls(found["head"].encode("latin-1"), preamble, items)
        for place, item in enumerate(items):
            for id in re.findall(rb"^id: (.*)$", item, re.MULTILINE):
                made.places[id.decode()] = place
        return made


@dataclass
class Recording:
    """A stream of each kind, which all begin to play at once: `began`, a monotonic time."""

    streams: dict[str, Recorded]
    #: Seconds between two events or lines: the recorded ones were due so, too.
    pace: float
    #: Of the load test.
    arguments: list[str]
    began: float

    @property
    def seconds(self) -> float:
        """For which it has been playing."""
        return monotonic() - self.began

    @property
    def newest(self) -> int:
        """The place of the newest event."""
        return int(self.seconds / self.pace)

    def wait_for(self, place: int) -> None:
        late = self.seconds - place * self.pace
        gevent.sleep(max(0.0, -late))  # sleep: the pace of the recording


@dataclass
class Request:
    path: str
    headers: dict[str, str]

    def number(self, name: str) -> int:
        """A parameter of the query."""
        found = re.search(rf"[?&]{name}=(\d+)", self.path)
        assert found
        return int(found[1])


class Cut(Exception):
    """The fault wants the connection to end."""


class Server:
    """Answers the users of one case with the recorded streams."""

    def __init__(self, recording: Recording, case: dict[str, Any]) -> None:
        self._recording = recording
        self._streams = recording.streams
        self._fault = fault(case.get("fault", ""))
        self._numbers = itertools.count(1)
        #: It begins anew, in place of where the client was.
        self._forgetful = case.get("forgetful", False)
        #: The bytes in place of a stream, which ends then.
        self._hollow: str | None = case.get("hollow")
        #: The one whose events, after some, are heartbeats: `nth` to come, or each `resumed`.
        self._muted: dict[str, Any] = case.get("mute", {})
        self._came = itertools.count(1)
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _serve(self, socket: Any, _: Any) -> None:
        with suppress(OSError, Cut):
            while (request := self._request(socket)) is not None:
                kind = request.path.split("/")[1].split("?")[0]
                getattr(self, f"_{kind}")(socket, request)

    def _request(self, socket: Any) -> Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := socket.recv(65536)):
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
        left = int(headers.get("content-length", 0)) - len(body)
        while left > 0:
            left -= len(socket.recv(left))
        return Request(first.split()[1], headers)

    def _events(self, socket: Any, request: Request) -> None:
        self._live(socket, request, self._streams["events"])

    def _logs(self, socket: Any, request: Request) -> None:
        self._live(socket, request, self._streams["logs"])

    def _live(self, socket: Any, request: Request, stream: Recorded) -> None:
        socket.sendall(stream.head)
        if self._hollow is not None:
            hollow = self._hollow.encode()
            socket.sendall((chunk(hollow) if hollow else b"") + chunk(b""))
            raise Cut
        for part in stream.preamble:
            socket.sendall(chunk(part))
        heard = self._heard_by(request)
        for count, place in enumerate(self._places(request, stream)):
            self._recording.wait_for(place)
            item = stream.items[place]
            self._send(socket, item if count < heard else b":\n\n", chunk, count < heard)

    def _places(self, request: Request, stream: Recorded) -> Iterator[int]:
        first = 1 + self._recording.newest
        if (id := request.headers.get("last-event-id")) and not self._forgetful:
            first = stream.places[id] + 1
        return iter(range(first, len(stream.items)))

    def _heard_by(self, request: Request) -> float:
        """The events that this client hears before there are heartbeats alone."""
        resumed = "last-event-id" in request.headers
        nth = next(self._came)
        if self._muted and (resumed if "nth" not in self._muted else nth == self._muted["nth"]):
            return float(self._muted["events"])
        return float("inf")

    def _chat(self, socket: Any, request: Request) -> None:
        stream = self._streams["chat"]
        socket.sendall(stream.head)
        for item in stream.items:
            gevent.sleep(0.01)  # sleep: the pace of an answer
            self._send(socket, item, chunk)
        socket.sendall(chunk(b""))

    def _records(self, socket: Any, request: Request) -> None:
        stream = self._streams["records"]
        after = request.number("after")
        socket.sendall(stream.head)
        for item in stream.items[after : after + request.number("limit")]:
            self._send(socket, item, chunk)
        socket.sendall(chunk(b""))

    def _download(self, socket: Any, request: Request) -> None:
        stream = self._streams["downloads"]
        content = b"".join(stream.items)
        asked = re.search(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        start = int(asked[1]) if asked else 0
        end = int(asked[2]) + 1 if asked and asked[2] else len(content)
        length = b"Content-Length: %d" % (end - start)
        head = re.sub(rb"content-length: \d+", length, stream.head, flags=re.IGNORECASE)
        if asked:
            where = b"bytes %d-%d/%d" % (start, end - 1, len(content))
            head = re.sub(rb"bytes \d+-\d+/\d+", where, head)
        else:
            head = head.replace(b"206 Partial Content", b"200 OK")
            head = re.sub(rb"content-range: .*\r\n", b"", head, flags=re.IGNORECASE)
        socket.sendall(head)
        for at in range(start, end, SLICE):
            self._send(socket, content[at : min(end, at + SLICE)], bytes)

    def _send(
        self, socket: Any, part: bytes, frame: Callable[[bytes], bytes], counted: bool = True
    ) -> None:
        becomes = self._fault(next(self._numbers), part) if counted else part
        if becomes is None:
            raise Cut
        if isinstance(becomes, float):
            gevent.sleep(becomes)  # sleep: a fault that is a silence
            becomes = part
        if becomes:
            socket.sendall(frame(becomes))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def own(user: type[Any], url: str) -> type[Any]:
    """The class for one case: nothing that it knows of streams is known to those of others."""
    made = type(user.__name__, (user,), {})
    made.host = url
    if hasattr(made, "topics"):
        made.topics = defaultdict(Topic)
    if hasattr(made, "blocks"):
        made.blocks = Blocks()
    return made


def options(recording: Recording, case: dict[str, Any], classes: list[type[Any]]) -> Namespace:
    parser = ArgumentParser()
    parser.add_argument = known(parser.add_argument)  # type: ignore[method-assign]
    knobs.add_arguments(parser)
    counts = [f"--{user.knob.replace('_', '-')}={case['users'][user.__name__]}" for user in classes]
    return parser.parse_args([*recording.arguments, *counts, f"--stay={case['stay']}"])


def known(add: Callable[..., Any]) -> Callable[..., Any]:
    """Without the options of Locust's own parser."""

    def added(*names: str, env_var: str, include_in_web_ui: bool, **how: Any) -> Any:
        return add(*names, **how | {"help": None})

    return added


def play(recording: Recording, case: dict[str, Any]) -> str:
    """The faults that the verdict of this case names."""
    # A case of one kind may have users of another, whose server is as it should be.
    server, honest_one = Server(recording, case), Server(recording, {})
    every = users.classes()
    classes = [
        own(every[name], (server if every[name].kind == case["kind"] else honest_one).url)
        for name in case["users"]
    ]
    parsed = options(recording, case, classes)
    environment = Environment(user_classes=classes, parsed_options=parsed)
    runner = environment.create_local_runner()
    run.install(environment)

    def found() -> str:
        return "\n".join(environment.measures.snapshot()["verdict"])

    runner.start(sum(case["users"].values()), spawn_rate=100)
    while recording.seconds < PLAYED or (
        recording.seconds < PATIENCE and not re.fullmatch(case["expected"], found())
    ):
        gevent.sleep(0.1)  # sleep: between two looks at a condition
    runner.quit()
    return found()


def main() -> None:
    given = json.load(sys.stdin)
    streams = {kind: Recorded.from_json(found) for kind, found in given["streams"].items()}
    recording = Recording(streams, given["pace"], given["arguments"], monotonic())
    # The recorded events say when they were due: the clock is that of the recording.
    time.time = lambda: given["began"] + recording.seconds
    playing = [gevent.spawn(play, recording, case) for case in given["cases"]]
    gevent.joinall(playing, raise_error=True)
    json.dump([greenlet.value for greenlet in playing], sys.stdout)


if __name__ == "__main__":
    main()
