"""Events: publishers at a constant rate, and subscribers that know the next number.

A publisher numbers its events per topic, and writes in each when it was due. So a subscriber knows
which number must come next, and how late it is: on one host, or with clocks that are in step.
"""

import itertools
import json
import random
import time
from collections import defaultdict
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, ClassVar
from uuid import uuid4

import gevent
from locust import between, task

from loadtests.connection import Broken, Connection
from loadtests.sequence import Sequence
from loadtests.sse import Event, Parser
from loadtests.stream_user import PATIENCE, Stream, StreamUser, Unexpected
from loadtests.topic import Topic

#: Seconds after which a publisher that was put off tries again, at the most.
AGAIN = 0.5

#: Events that a publisher that is behind sends at once.
BATCH = 500

#: Seconds for which a slow reader reads.
CATCH_UP = 2.0


class Publisher(StreamUser):
    """An open loop: an event that could not be sent in time is sent later, and its latency is from
    when it was due. A subscriber's latency hides no stall of the server so (coordinated omission).
    """

    kind = "events"
    knob = "publishers"
    fixed = True

    def on_start(self) -> None:
        self.id = uuid4().hex[:12]
        self._connection: Connection | None = None

    @task
    def publish(self) -> None:
        pace = 1 / self.knobs.publish_rate
        due = time.time() + random.uniform(0, pace)
        counts = itertools.count()
        while True:
            gevent.sleep(max(0.0, due - time.time()))
            # More than one where answers take longer than the pace: it must not slow down.
            behind = 1 + int((time.time() - due) / pace)
            events = [self._event(next(counts), due + n * pace) for n in range(min(behind, BATCH))]
            self._publish_until_accepted(events)
            now = time.time()
            for event in events:
                self.measures.histograms["publish"].add(now - event["data"]["sent"])
            due += len(events) * pace

    def _event(self, count: int, due: float) -> dict[str, Any]:
        number, topic = divmod(count, self.knobs.topics)
        data = {"n": number + 1, "sent": due, "publisher": f"{self.id}/{topic}"}
        if self.knobs.padding:
            data["padding"] = "." * self.knobs.padding
        return {"topic": f"load/{topic}", "data": data}

    def _publish_until_accepted(self, events: list[dict[str, Any]]) -> None:
        body = json.dumps(events[0] if len(events) == 1 else events).encode()
        first = events[0]["data"]
        headers = self.headers(
            {
                "Content-Type": "application/json",
                # An attempt that had no answer may have arrived.
                "Idempotency-Key": f"{first['publisher'].replace('/', '-')}-{first['n']}",
            }
        )
        while not self._publish(headers, body):
            gevent.sleep(random.uniform(0, AGAIN))

    def _publish(self, headers: dict[str, str], body: bytes) -> bool:
        began = monotonic()
        fault: Exception | None = None
        try:
            status = self._ask(headers, body)
            if status in (429, 503):
                self.count.refused += 1
                fault = Unexpected(f"status {status}")
            elif status not in (200, 201):
                raise Unexpected(f"status {status}")
        except (OSError, Broken, Unexpected) as error:
            fault = error
            self.fault(f"publish: {error}")
        self.sample("POST", monotonic() - began, fault)
        return fault is None

    def _ask(self, headers: dict[str, str], body: bytes) -> int:
        connection, self._connection = self._connection, None
        if connection is not None:
            # One that was idle may have been closed meanwhile: then another one will do.
            with suppress(OSError, Broken):
                return self._ask_on(connection, headers, body)
        return self._ask_on(self.connect(), headers, body)

    def _ask_on(self, connection: Connection, headers: dict[str, str], body: bytes) -> int:
        try:
            connection.request("POST", "/events", headers, body)
            connection.whole()
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            self._connection = connection
        else:
            connection.close()
        return connection.status

    def on_stop(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Subscriber(StreamUser):
    abstract = True
    kind = "events"
    #: Bytes that the kernel may take for it; 0: its default.
    receive_buffer = 0
    #: Its latencies tell how late the server is.
    timed = True
    #: Of all subscribers of a process, by their path.
    topics: ClassVar[dict[str, Topic]] = defaultdict(Topic)

    def on_start(self) -> None:
        self.parser = Parser()
        self.sequence = Sequence(self.count)
        self._gaps = self.measures.histograms["gap"]
        everything = random.random() < self.knobs.all_topics
        topics = self.knobs.topics
        self.path = (
            f"/events?topic=load/{'%7Btopic%7D' if everything else random.randrange(topics)}"
        )
        self.topic = self.topics[self.path]
        rate = self.knobs.publishers * self.knobs.publish_rate / (1 if everything else topics)
        stall = self.knobs.stall
        #: Seconds: a silence that is a stall once events come, if they come often enough.
        self.due = stall if rate * stall >= 2 else 0.0

    def for_a_while(self) -> float:
        return random.uniform(0.5, 1.5) * float(self.knobs.stay)

    def subscribe(self, until: float) -> None:
        """Until then, a monotonic time, or the end; resumes where the last one ended."""
        headers = {"Accept": "text/event-stream"}
        self._resumed = bool(self.parser.last_event_id)
        if self._resumed:
            headers["Last-Event-ID"] = self.parser.last_event_id
            self.count.reconnects += 1
        self.parser.reconnected()
        self._until = until
        self._began, self._began_at = monotonic(), time.time()
        self._got = 0
        self._heard = 0.0
        self.read(
            self.path,
            self.listen,
            headers=headers,
            receive_buffer=self.receive_buffer,
        )
        # One that was refused has waited.
        if self.parser.retry is not None and self.parser.blocks > 1 and monotonic() < until:
            gevent.sleep(min(self.parser.retry / 1000, PATIENCE))

    def listen(self, stream: Stream) -> None:
        if self.sequence.begun:
            # Events come, and there may be some to catch up with first.
            stream.expect(2 * self.due)
        else:
            self.topic.join(stream, self.knobs.stall)
        try:
            self.consume(stream)
        finally:
            self.topic.leave(stream)

    def consume(self, stream: Stream) -> None:
        for data in stream:
            self.take(stream, data)
            if stream.heard > self._until:
                return
        self.check_end(self.parser)

    def take(self, stream: Stream, data: bytes) -> None:
        events = self.parser.feed(data)
        if events:
            stream.came()
        for event in events:
            if event.event == "message":
                self._on_message(stream, event)
            elif event.event == "eddyline.reset":
                self.count.resets += 1
                self.sequence.forget()
            else:
                self.fault(f"an event of type {event.event[:40]!r}")

    def _on_message(self, stream: Stream, event: Event) -> None:
        value = json.loads(event.data)
        self.sequence.saw(value["publisher"], value["n"])
        self.count.received += 1
        self.topic.heard(value["sent"])
        if not self._got:
            self._on_first(stream, value["sent"])
        elif self.timed:
            self._gaps.add(stream.heard - self._heard)
        if self.timed:
            self.measures.latency.add(time.time() - value["sent"])
        self._got += 1
        self._heard = stream.heard

    def _on_first(self, stream: Stream, sent: float) -> None:
        self.topic.leave(stream)
        stream.expect(self.due)
        if not self.timed:
            return
        seconds = stream.heard - self._began
        self.measures.histograms["first event"].add(seconds)
        if self._resumed and sent < self._began_at:
            # Not of one that had missed nothing: it waits for the next event.
            self.measures.histograms["catch-up"].add(seconds)


class EventSubscriber(Subscriber):
    """Stays. It resumes where its stream ended, as an EventSource does."""

    knob = "subscribers"

    @task
    def stay(self) -> None:
        self.subscribe(inf)


class Resumer(Subscriber):
    """Drops its stream wherever that is, and resumes it."""

    knob = "resumers"
    wait_time = between(0.0, 1.0)

    @task
    def drop(self) -> None:
        self.subscribe(monotonic() + self.for_a_while())


class Churner(Subscriber):
    """Comes as somebody new each time."""

    knob = "churners"
    wait_time = between(0.0, 1.0)

    @task
    def come_and_go(self) -> None:
        self.parser = Parser()
        self.sequence.forget()
        self.subscribe(monotonic() + self.for_a_while())


class SlowReader(Subscriber):
    """Reads nothing for a while, then all that has piled up; nothing may be missing."""

    knob = "slow_readers"
    receive_buffer = 4096
    timed = False

    @task
    def read_slowly(self) -> None:
        self.subscribe(inf)

    def on_start(self) -> None:
        super().on_start()
        # One that was left behind may need a moment.
        self.due *= 2

    def consume(self, stream: Stream) -> None:
        while True:
            until = monotonic() + CATCH_UP
            while stream.heard < until:
                data = stream.read(4096)
                if not data:
                    self.check_end(self.parser)
                    return
                self.take(stream, data)
            self._pause(stream)

    def _pause(self, stream: Stream) -> None:
        """Its own silence is none of the server's: the clock stands still."""
        watched = self.environment.silence.streams
        watched.discard(stream)
        before = monotonic()
        gevent.sleep(self.knobs.pause)
        now = monotonic()
        stream.since = min(now, stream.since + now - before)
        watched.add(stream)
