"""Users of all five services: `make loadtest` while `make run` runs; exits 1 if one failed.

Locust's `--host` is the origin of them all. Without it each has its own: `EVENTS_URL` and so on.
"""

# Locust's decorators are untyped.
# mypy: disable-error-code="untyped-decorator"

import json
import os
import random
import time
from typing import Any

from locust import between, events, task

from loadtests import run, tab
from loadtests.sequence import Sequence
from loadtests.sse import Reader, text_lines
from loadtests.stream_user import StreamUser, Unexpected
from loadtests.verdict import faults

#: Seconds that one stays on a stream before one drops it.
STAY = (5.0, 15.0)

RANGE = 1024 * 1024
ROWS = 10_000


class EventSubscriber(StreamUser):
    """Drops its connection now and then, resumes, and knows which events it should have got."""

    host = os.environ.get("EVENTS_URL")
    weight = 10
    wait_time = between(0, 0.5)

    def on_start(self) -> None:
        self.reader = Reader()
        self.sequence = Sequence()

    @task
    def subscribe(self) -> None:
        id = self.reader.last_event_id
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": id} if id else {})
        self.began = time.perf_counter()
        self.read("events", "/events", self.consume, headers=headers)

    def consume(self, stream: Any) -> int:
        leave = time.perf_counter() + random.uniform(*STAY)
        before = self.began
        count = 0
        for event in self.reader.events(stream):
            now = time.perf_counter()
            self.sample("event gap" if count else "first event", now - before, len(event.data))
            before = now
            count += 1
            if event.event == "millrace.reset":
                raise Unexpected(f"a reset: {event.data}")
            if fault := self.sequence.saw(event.id):
                raise Unexpected(fault)
            if now > leave:
                break
        return count


class LogFollower(StreamUser):
    host = os.environ.get("LOGS_URL")
    weight = 2
    wait_time = between(0, 1)

    @task
    def follow(self) -> None:
        self.read("logs", "/logs/app.log", self.consume)

    def consume(self, stream: Any) -> int:
        leave = time.perf_counter() + random.uniform(*STAY)
        count = 0
        for event in Reader().events(stream):
            if event.event == "message" and "line" not in json.loads(event.data):
                raise Unexpected(f"no line: {event.data[:100]}")
            count += 1
            if time.perf_counter() > leave:
                break
        return count


class ChatUser(StreamUser):
    host = os.environ.get("CHAT_URL")
    weight = 2
    wait_time = between(1, 3)

    @task
    def ask(self) -> None:
        self.read("chat", "/chat/stream", self.consume, "POST", json={"message": "Hello"})

    def consume(self, stream: Any) -> int:
        answers = [json.loads(event.data) for event in Reader().events(stream)]
        if not answers or answers[-1] != {"done": True}:
            raise Unexpected(f"the answer ended with {answers[-1:]}")
        return len(answers)


class RecordsReader(StreamUser):
    host = os.environ.get("RECORDS_URL")
    weight = 1
    wait_time = between(1, 3)

    @task
    def page(self) -> None:
        after = random.randrange(900_000)
        path = f"/records/users?after={after}&limit={ROWS}"
        self.read("records", path, lambda stream: self.consume(stream, after))

    def consume(self, stream: Any, after: int) -> int:
        lines = list(text_lines(stream))
        if len(lines) != ROWS or json.loads(lines[-1])["id"] != after + ROWS:
            raise Unexpected(f"{len(lines)} rows, the last: {lines[-1:]}; expected {ROWS}")
        return len(lines)


class Downloader(StreamUser):
    host = os.environ.get("DOWNLOADS_URL")
    weight = 1
    wait_time = between(1, 3)

    @task
    def download(self) -> None:
        start = random.randrange(1024) * RANGE
        headers = {"Range": f"bytes={start}-{start + RANGE - 1}"}
        self.read("downloads", "/download/huge.bin", self.consume, headers=headers)

    def consume(self, stream: Any) -> int:
        count = 0
        while data := stream.read(65536):
            count += len(data)
        if stream.status_code != 206 or count != RANGE:
            raise Unexpected(f"status {stream.status_code}, {count} bytes; expected 206, {RANGE}")
        return count


@events.init.add_listener
def keep_measures(environment: Any, **_: Any) -> None:
    run.install(environment)
    if environment.web_ui:
        tab.add(environment, environment.measures.snapshot)


@events.quitting.add_listener
def verdict(environment: Any, **_: Any) -> None:
    found = faults(environment.stats)
    for fault in found:
        print(f"FAILED: {fault}")
    environment.process_exit_code = 1 if found else 0
