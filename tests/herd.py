"""Numbered events and a herd of subscribers that resume: nothing is lost, nothing comes twice.

As a program it runs beside a suite that others disturb meanwhile, in a container, a pod or here:
`python herd.py http://events --subscribers 500`. A line of JSON each second tells how it is. At
SIGTERM, or after `--seconds`, publishing stops, all must get all, and the last line is the verdict.
"""

import argparse
import asyncio
import os
import random
import resource
import signal
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import quote

import orjson

from eddyline.testing import Stream, eventually, fetch

#: Seconds within which a refused publisher tries again: Retry-After is for those with patience.
AGAIN = 0.1

#: Seconds of silence after which a stream is taken for dead: heartbeats come each 15.
SILENCE = 40.0

#: Seconds in which everyone must be there, and must have everything once all is over.
SETTLE = 90.0


@dataclass(frozen=True)
class Server:
    """Where to: `url` is asked anew for each request, so that it may be any of several."""

    url: Callable[[], str]
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None


class Publisher:
    """Publishes the numbers of one topic, each until it is accepted."""

    def __init__(self, server: Server, topic: str, pace: float) -> None:
        self.server = server
        self.topic = topic
        self.pace = pace
        self.accepted = 0
        #: Answers with 5xx, and attempts that ended without an answer.
        self.refused = 0
        self.unanswered = 0

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            began = time.monotonic()
            if await self._publish(self.accepted + 1):
                self.accepted += 1
                rest = self.pace - (time.monotonic() - began)
                await asyncio.sleep(max(0.0, rest))  # sleep: the pace of a publisher
            else:
                await asyncio.sleep(AGAIN)  # sleep: between two attempts

    async def _publish(self, number: int) -> bool:
        """Whether it was accepted; if not, its outcome is unknown, and the key helps."""
        url = self.server.url() + "/events"
        body = orjson.dumps({"topic": self.topic, "data": {"topic": self.topic, "n": number}})
        headers = {**self.server.headers, "Idempotency-Key": f"{self.topic}-{number}"}
        try:
            async with await fetch(
                url, method="POST", body=body, headers=headers, tls=self.server.tls
            ) as answer:
                if answer.status >= 500:
                    if answer.headers.get("content-type") == "application/problem+json":
                        assert int(answer.headers["retry-after"]) > 0
                    self.refused += 1
                    return False
                assert answer.status in (200, 201), (answer.status, await answer.body())
                return True
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.unanswered += 1
            return False


@dataclass
class Tally:
    """The observations of one subscriber, or of all of them together."""

    delivered: int = 0
    lost: int = 0
    twice: int = 0
    disorder: int = 0
    reconnects: int = 0
    #: Streams that broke off without their end.
    dirty: int = 0
    resets: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Tally") -> "Tally":
        names = [item.name for item in fields(self)]
        return Tally(*(getattr(self, name) + getattr(other, name) for name in names))

    def __sub__(self, other: "Tally") -> "Tally":
        names = [item.name for item in fields(self)]
        return Tally(*(getattr(self, name) - getattr(other, name) for name in names))

    @property
    def clean(self) -> bool:
        return not (self.lost or self.twice or self.disorder)


class Subscriber:
    """Reads topics, resumes wherever it can, and checks each number that it gets."""

    def __init__(
        self, server: Server, topics: tuple[str, ...], asked: tuple[str, ...] | None = None
    ) -> None:
        """`asked`: templates that select the topics, in place of these."""
        self.server = server
        self.topics = topics
        self.tally = Tally()
        self._query = "&".join(f"topic={quote(topic)}" for topic in asked or topics)
        #: By topic: the last number that it got; None until the first.
        self.last: dict[str, int | None] = dict.fromkeys(topics)
        self.connected = False
        #: Topics of which a reset has excused the next hole.
        self._excused: set[str] = set()
        self._id = ""
        self._stream: Stream | None = None

    async def run(self) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await self._read()
            self.connected = False
            self.tally.reconnects += 1
            await asyncio.sleep(random.uniform(0.02, 0.2))  # sleep: as an EventSource does

    async def _read(self) -> None:
        headers = {**self.server.headers, "Accept": "text/event-stream"}
        if self._id:
            headers["Last-Event-ID"] = self._id
        url = f"{self.server.url()}/events?{self._query}"
        async with await fetch(url, headers=headers, tls=self.server.tls) as stream:
            if stream.status != 200:
                assert stream.status >= 500, (stream.status, await stream.body())
                return
            self._stream = stream
            stream.parser.last_event_id = self._id
            stream.parser._id = self._id
            while data := await asyncio.wait_for(stream.read(), SILENCE):
                self.connected = True
                for event in stream.parser.feed(data):
                    self._on_event(event.event, event.data)
                self._id = stream.parser.last_event_id
            self.tally.dirty += not stream.clean

    def _on_event(self, event: str, data: str) -> None:
        value = orjson.loads(data)
        if event == "eddyline.reset":
            self.tally.resets[value["reason"]] += 1
            self._excused = set(self.topics)
            return
        topic, number = value["topic"], value["n"]
        last, self.last[topic] = self.last[topic], number
        excused = topic in self._excused
        self._excused.discard(topic)
        self.tally.delivered += 1
        if last is None or number == last + 1:
            return
        if number == last:
            self.tally.twice += 1
        elif number < last:
            self.tally.disorder += 1
        elif not excused:
            self.tally.lost += number - last - 1

    def drop(self) -> None:
        """Goes without a goodbye, wherever it is; it comes back."""
        if self._stream is not None:
            self._stream.reset()

    def has_all(self, publishers: Mapping[str, Publisher]) -> bool:
        return all(self.last[topic] == publishers[topic].accepted for topic in self.topics)


# The program.


class Herd:
    """One topic, its publisher, and its subscribers."""

    def __init__(self, server: Server, topic: str, subscribers: int, pace: float) -> None:
        self.publisher = Publisher(server, topic, pace)
        self.subscribers = [Subscriber(server, (topic,)) for _ in range(subscribers)]
        self.stopping = asyncio.Event()

    async def run(self, seconds: float) -> int:
        """The exit code."""
        reading = []
        for subscriber in self.subscribers:
            reading.append(asyncio.create_task(subscriber.run()))
            await asyncio.sleep(0.002)  # sleep: the pace of arrivals
        try:
            await self._until(lambda: all(s.connected for s in self.subscribers))
            publishing = asyncio.create_task(self.publisher.run(self.stopping))
            await self._while_it_runs([*reading, publishing], seconds)
            await publishing
            publishers = {self.publisher.topic: self.publisher}
            await self._until(lambda: all(s.has_all(publishers) for s in self.subscribers))
        except TimeoutError:
            return self._verdict("not everyone was there, or had all, in time")
        finally:
            for task in reading:
                task.cancel()
        return self._verdict("" if self.tally.clean else "lost, twice or out of order")

    async def _while_it_runs(self, tasks: list["asyncio.Task[None]"], seconds: float) -> None:
        began = time.monotonic()
        while not self.stopping.is_set():
            self._say("running")
            for task in tasks:
                if task.done():
                    task.result()  # a subscriber never ends: this raises the error that ended it
            if seconds and time.monotonic() - began > seconds:
                self.stopping.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), 1)

    async def _until(self, condition: Callable[[], bool]) -> None:
        await eventually(condition, SETTLE)

    @property
    def tally(self) -> Tally:
        return sum((s.tally for s in self.subscribers), Tally())

    def _verdict(self, failure: str) -> int:
        self._say("failed" if failure else "passed", failure=failure)
        return 1 if failure else 0

    def _say(self, state: str, **more: Any) -> None:
        tally = self.tally
        line = {
            "state": state,
            "subscribers": len(self.subscribers),
            "connected": sum(s.connected for s in self.subscribers),
            "published": self.publisher.accepted,
            "refused": self.publisher.refused,
            "unanswered": self.publisher.unanswered,
            **{item.name: getattr(tally, item.name) for item in fields(tally)},
        }
        print(orjson.dumps(line | more).decode(), flush=True)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="EDDYLINE_TOKEN is the bearer token, where the suite wants one.",
    )
    parser.add_argument("url", metavar="URL", help="of the suite, for example http://events")
    parser.add_argument("--subscribers", type=int, default=500, metavar="N")
    parser.add_argument("--rate", type=float, default=20, help="events a second (default 20)")
    parser.add_argument("--seconds", type=float, default=0, help="0, the default: until SIGTERM")
    parser.add_argument("--topic", default="herd")
    parser.add_argument("--host", help="the Host header, where it is not the URL's")
    parser.add_argument("--insecure", action="store_true", help="trust any certificate")
    return parser


async def main(options: argparse.Namespace) -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    tls = ssl.create_default_context() if options.url.startswith("https:") else None
    if tls is not None and options.insecure:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    url = options.url.rstrip("/")
    headers = {"Host": options.host or url.split("/")[2]}
    if token := os.environ.get("EDDYLINE_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    server = Server(lambda: url, headers, tls)
    herd = Herd(server, options.topic, options.subscribers, 1 / options.rate)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, herd.stopping.set)
    return await herd.run(options.seconds)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(arguments().parse_args())))
