"""Logs: followers that drop and resume.

No two lines in a row have one id. Where lines have `load=1`, `load=2`, ... (`make load-local`
writes such a log), none of them may be missing, come twice or out of order. Such a line also says
when it was written: `sent=1767225600.1`.
"""

import json
import random
import re
import time
from time import monotonic
from urllib.parse import quote

from locust import between, task

from loadtests.sequence import Sequence
from loadtests.sse import Event, Parser
from loadtests.stream_user import Stream, StreamUser

_NUMBERED = re.compile(r"\bload=(\d+) sent=([\d.]+)")


class LogFollower(StreamUser):
    kind = "logs"
    knob = "log_followers"
    wait_time = between(0.0, 1.0)

    def on_start(self) -> None:
        self.parser = Parser()
        self.sequence = Sequence(self.count)
        self._last = ""

    @task
    def follow(self) -> None:
        headers = {"Accept": "text/event-stream"}
        if self.parser.last_event_id:
            headers["Last-Event-ID"] = self.parser.last_event_id
            self.count.reconnects += 1
        self.parser.reconnected()
        self._asked = time.time()
        self._until = monotonic() + self.knobs.stay * random.uniform(0.5, 1.5)
        self.read(f"/logs/{quote(self.knobs.log)}", self.consume, headers=headers)

    def consume(self, stream: Stream) -> None:
        for data in stream:
            for event in self.parser.feed(data):
                self._on_event(event)
            if stream.heard > self._until:
                return
        self.check_end(self.parser)

    def _on_event(self, event: Event) -> None:
        if event.event == "eddyline.reset":
            self.count.resets += 1
            self.sequence.forget()
        if event.event != "message":
            return  # rotated, truncated: news for a reader of the log
        line = json.loads(event.data).get("line")
        if line is None:
            self.fault("an event without a line")
            return
        self.count.received += 1
        if numbered := _NUMBERED.search(line):
            self.sequence.saw("load", int(numbered[1]))
            if float(numbered[2]) > self._asked:
                late = time.time() - float(numbered[2])
                self.measures.histograms["log latency"].add(late)
        elif event.id and event.id == self._last:
            self.count.repeated += 1
        self._last = event.id or self._last
