"""A Locust user that reads streams, and counts how they end."""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, ClassVar

import gevent
from locust import User

from loadtests.connection import PIECE, Broken, Connection, Cut
from loadtests.sse import Parser

#: The users' bearer token, where the suite asks for one: see `make token`.
TOKEN = os.environ.get("EDDYLINE_TOKEN", "")

#: The longest wait of a user that was put off, in seconds: a test is short.
PATIENCE = 5.0


class Unexpected(Exception):
    """The server's answer is not the right one."""


class Refused(Exception):
    """The server has no room now: the text is the seconds for which it wants to be left alone."""


class Stream:
    """One answer, while it is read. Iterate over it for its pieces; None of them is empty.

    A silence, which silence.py watches, is one of bytes; where something is expected, of that.
    """

    __slots__ = (
        "_connection",
        "_count",
        "_expects",
        "_first",
        "_patience",
        "asked",
        "due",
        "heard",
        "pieces",
        "silent",
        "since",
    )

    def __init__(
        self, user: "StreamUser", connection: Connection, asked: float, due: float
    ) -> None:
        self._connection = connection
        self._count = user.count
        self._first = user.measures.histograms["first byte"]
        self.pieces = 0
        self.asked = asked
        self.due = self._patience = due
        self.heard = self.since = monotonic()
        self.silent = False
        self._expects = False

    @property
    def status(self) -> int:
        return self._connection.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._connection.headers

    def read(self, size: int = PIECE) -> bytes:
        """The next piece; nothing: the clean end. Raises Cut, OSError."""
        data = self._connection.read(size)
        self.heard = now = monotonic()
        if not self._expects:
            self.came()
        self._count.bytes += len(data)
        if not self.pieces:
            self._first.add(now - self.asked)
        self.pieces += 1
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data

    def expect(self, due: float) -> None:
        """From now on bytes alone end no silence: heartbeats are some. 0: they do again."""
        self.due = due or self._patience
        self.since = monotonic()
        self._expects = bool(due)

    def came(self) -> None:
        """An answer as expected."""
        self.since = self.heard
        self.silent = False

    def stall(self) -> None:
        self._count.stalled += 1

    def give_up(self) -> None:
        self._connection.close()


class StreamUser(User):  # type: ignore[misc]  # untyped
    abstract = True
    kind: ClassVar[str]
    #: The knob that says how many there are: a share of all users, or where fixed a number.
    knob: ClassVar[str]
    fixed: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if hasattr(cls, "kind"):
            cls.host = os.environ.get(f"{cls.kind.upper()}_URL")

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.measures = environment.measures
        self.knobs = environment.parsed_options
        self.count = self.measures.kinds[self.kind]

    def fault(self, what: str) -> None:
        """Counts a fault of the server."""
        self.count.failed += 1
        self.measures.note(f"{self.kind}: {what}")

    def connect(self, receive_buffer: int = 0) -> Connection:
        began = monotonic()
        connection = Connection(self.host, receive_buffer=receive_buffer)
        self.measures.histograms["connect"].add(monotonic() - began)
        return connection

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        made = {"Accept": "*/*", **(more or {})}
        if TOKEN:
            made["Authorization"] = f"Bearer {TOKEN}"
        return made

    def read(
        self,
        path: str,
        consume: Callable[[Stream], None],
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        due: float = 0.0,
        receive_buffer: int = 0,
    ) -> None:
        """Gives `consume` the answer, if it is one of 2xx. Faults here and there are
        counted, not raised. `due`: seconds of silence that are too long; 0: two heartbeats.
        """
        connection: Connection | None = None
        stream: Stream | None = None
        fault: Exception | None = None
        began = monotonic()
        watched = self.environment.silence.streams
        try:
            connection = self.connect(receive_buffer)
            asked = monotonic()
            connection.request(method, path, self.headers(headers), body)
            self.sample(method, monotonic() - began)
            if connection.status in (429, 503):
                raise Refused(connection.headers.get("retry-after", ""))
            if connection.status >= 300:
                raise Unexpected(f"status {connection.status}")
            stream = Stream(self, connection, asked, due or 2 * self.knobs.heartbeat)
            self.count.open += 1
            watched.add(stream)
            consume(stream)
        except Refused as error:
            self.count.refused += 1
            fault = error
        except (Cut, OSError) as error:
            fault = error
            if stream is None:
                self.fault(f"no answer: {getattr(error, 'strerror', None) or error}")
            else:
                self.count.dirty += 1
        except (Broken, Unexpected, ValueError, LookupError) as error:
            fault = error
            self.fault(str(error)[:200])
        finally:
            if stream is not None:
                watched.discard(stream)
                self.count.open -= 1
            if connection is not None:
                connection.close()
        if fault is not None:
            self.sample("STREAM", monotonic() - began, fault)
            gevent.sleep(self._patience(fault))

    def check_end(self, parser: Parser) -> None:
        """Of an event stream that the server ended. Raises Refused where it said only when to come
        back, and Unexpected where it said nothing: a server that has nothing to say keeps it open.
        """
        if parser.retry is None and not parser.events:
            raise Unexpected("a stream that ended without an event and without `retry:`")
        if parser.retry is not None and parser.blocks == 1:
            raise Refused(str(parser.retry / 1000))

    def _patience(self, fault: Exception) -> float:
        asked = 1.0
        if isinstance(fault, Refused):
            with suppress(ValueError):  # Retry-After may be a date
                asked = float(str(fault))
        return min(PATIENCE, asked) * random.uniform(0.5, 1)

    def sample(self, what: str, seconds: float, fault: Exception | None = None) -> None:
        """For Locust's own tables: the time to the head, and the failure."""
        self.environment.events.request.fire(
            request_type=what,
            name=self.kind,
            response_time=seconds * 1000,
            response_length=0,
            exception=fault,
            context={},
        )
