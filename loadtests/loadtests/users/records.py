"""Records: all rows in order, also for a reader that drops the stream and goes on by its key."""

import json
import random
from urllib.parse import quote

import gevent
from locust import task

from loadtests.stream_user import Stream, StreamUser, Unexpected


class RecordsReader(StreamUser):
    kind = "records"
    knob = "record_readers"

    def wait_time(self) -> float:
        return random.uniform(0.5, 1.5) * float(self.knobs.think)

    @task
    def read_rows(self) -> None:
        rows = self.knobs.rows
        self._last = random.randrange(max(1, self.knobs.last_row - rows))
        self._end = self._last + rows
        self._until = self._last + random.randrange(rows)
        self._ask()
        if self._last < self._end:
            self.count.reconnects += 1
            self._until = self._end
            self._ask()

    def _ask(self) -> None:
        limit = self._end - self._last
        path = f"/records/{quote(self.knobs.dataset)}?after={self._last}&limit={limit}"
        self.read(path, self.consume, due=self.knobs.stall)

    def consume(self, stream: Stream) -> None:
        rest = b""
        # Pieces are small: other streams of this process wait while the rows are looked at.
        while data := stream.read(16384):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._on_row(json.loads(line)["id"])
            if self._last >= self._until < self._end:
                return
            gevent.sleep(0)
        if rest:
            raise Unexpected("a last row without its line end")
        self.count.lost += self._end - self._last
        self._last = self._end

    def _on_row(self, key: int) -> None:
        self.count.received += 1
        if key == self._last + 1:
            self._last = key
        elif key > self._last:
            self.count.lost += key - self._last - 1
            self._last = key
        else:
            self.count.repeated += 1
