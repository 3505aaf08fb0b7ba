"""Watches all streams of a process for silences, and itself for being late.

One greenlet for all of them: a timer for each read would cost more than the read.
"""

from time import monotonic
from typing import Protocol

import gevent

from loadtests.measures import Measures

#: Seconds between two looks.
LOOK = 0.25

#: Seconds of silence after which a stream is given up: heartbeats come each 15.
GIVE_UP = 40.0


class Watched(Protocol):
    """A stream that waits for something: `since` is when that last came, `due` how long it may
    wait.
    """

    since: float
    due: float
    #: This silence is counted.
    silent: bool

    def stall(self) -> None: ...
    def give_up(self) -> None: ...


class Silence:
    def __init__(self, measures: Measures) -> None:
        self.streams: set[Watched] = set()
        self._lag = measures.histograms
        gevent.spawn(self._watch)

    def _watch(self) -> None:
        while True:
            before = monotonic()
            gevent.sleep(LOOK)
            now = monotonic()
            late = now - before - LOOK
            if self.streams:
                self._lag["client lag"].add(late)
            for stream in list(self.streams):
                # Not before the bytes that came while this process was late can be read.
                silence = now - stream.since - late
                if silence > stream.due and not stream.silent:
                    stream.silent = True
                    stream.stall()
                elif silence > GIVE_UP and stream.silent:
                    stream.give_up()
