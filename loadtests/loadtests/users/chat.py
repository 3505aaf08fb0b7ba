"""Chat: reads whole answers, and measures the time to the first token and between tokens."""

import json
import random
from time import monotonic
from typing import Any

from locust import task

from loadtests.sse import Parser
from loadtests.stream_user import Stream, StreamUser, Unexpected

#: The words of the demo upstream.
DEMO = "You said: {}. Here's my thoughtful response about that topic."


class ChatReader(StreamUser):
    kind = "chat"
    knob = "chat_readers"

    def wait_time(self) -> float:
        return random.uniform(0.5, 1.5) * float(self.knobs.think)

    @task
    def ask(self) -> None:
        self.read(
            "/chat/stream",
            self.consume,
            method="POST",
            headers={"Content-Type": "application/json"},
            body=json.dumps({"message": self.knobs.message}).encode(),
            due=self.knobs.stall,
        )

    def consume(self, stream: Stream) -> None:
        parser = Parser()
        tokens: list[str] = []
        last: dict[str, Any] = {}
        before = stream.asked
        for data in stream:
            for event in parser.feed(data):
                last = json.loads(event.data)
                if "token" not in last:
                    continue
                name = "token gap" if tokens else "time to first token"
                now = monotonic()
                self.measures.histograms[name].add(now - before)
                before = now
                tokens.append(last["token"])
                self.count.received += 1
        if last != {"done": True}:
            raise Unexpected("an answer that ended without `done`")
        if stream.headers.get("x-chat-upstream", "").startswith("demo"):
            self._compare("".join(tokens), DEMO.format(self.knobs.message))

    def _compare(self, answer: str, expected: str) -> None:
        if len(answer) < len(expected):
            self.count.lost += len(expected) - len(answer)
        elif len(answer) > len(expected):
            self.count.repeated += len(answer) - len(expected)
        elif answer != expected:
            self.count.reordered += 1
