"""uvicorn's HTTP/1.1 protocol within bounds: of a head's size, and of a client's time."""

import asyncio
from http import HTTPStatus
from typing import Any, Literal, NoReturn
from weakref import WeakKeyDictionary

import orjson
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from eddyline.server.intake import (
    PIPELINED,
    Refused,
    RequestLimits,
    Waiting,
    check_framing,
    too_long,
)

#: Seconds for which bytes after the end of a conversation are read and dropped, and the longest
#: silence among them. Without it a client that still sends sees a reset in place of its answer
#: (RFC 9112 section 9.6); the figures are nginx's.
LINGER = 30.0
SILENCE = 5.0

#: Where no `Waiting` is given: one for each server.
_waiting: WeakKeyDictionary[ServerState, Waiting] = WeakKeyDictionary()


class BoundedProtocol(HttpToolsProtocol):
    """Refuses requests beyond `RequestLimits`, and the ones that RFC 9112 wants refused, before any
    app sees them.
    """

    #: The cycle of the request that was parsed last. It may wait for its turn.
    cycle: RequestResponseCycle

    #: The cycle of the request that is answered now.
    running: RequestResponseCycle | None = None

    #: The part of a request that comes next: `answer` where all of it is there, `dropped` where
    #: nothing more is wanted.
    _phase: Literal["head", "body", "answer", "dropped"] = "head"
    #: Bytes that the parser took since it last told of anything.
    _untold = 0
    _lines = 0
    _head = 0
    _fault: Refused | None = None
    _dropped_until = 0.0
    #: Bytes that the peer had not taken when it was last looked at.
    _unsent = 0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        waiting: Waiting | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        if waiting is None:
            waiting = _waiting.setdefault(server_state, Waiting(RequestLimits()))
        self._waiting = waiting
        self._limits = waiting.limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting.watch(self, self._limits.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._phase == "dropped":
            if self.loop.time() < self._dropped_until:
                self._waiting.watch(self, SILENCE)
            return
        self._untold += len(data)
        super().data_received(data)
        if self._phase == "body":
            self._waiting.watch(self, self._limits.body_timeout)
        if self._untold > self._limits.head_bytes and self._phase in ("head", "body"):
            self._refuse(too_long(self._limits))

    # Called by the parser. An exception ends its work, and uvicorn calls `send_400_response`.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = "head"
        self._lines = self._head = 0
        if self.cycle is not None:  # a new connection is watched from its opening on
            self._waiting.watch(self, self._limits.head_timeout)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.target_bytes:
            limit = self._limits.target_bytes
            detail = f"a request's target may have {limit} bytes (EDDYLINE_TARGET_BYTES)"
            self._fail(Refused(414, "target", detail))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase != "head":
            return  # a trailer: it must not be merged into the head (RFC 9110 section 6.5.1)
        super().on_header(name, value)
        self._lines += 1
        self._head += len(name) + len(value) + 4
        if self._lines > self._limits.head_lines:
            limit = self._limits.head_lines
            detail = f"a request's head may have {limit} lines (EDDYLINE_HEAD_LINES)"
            self._fail(Refused(431, "head_lines", detail))
        if self._head > self._limits.head_bytes:
            self._fail(too_long(self._limits))

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            detail = f"{PIPELINED} requests wait for their answers on this connection"
            self._fail(Refused(429, "pipelined", detail))
        try:
            check_framing(self.headers, self.parser.get_http_version())
        except Refused as refused:
            self._fail(refused)
        self._phase = "body"
        self._untold = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = "answer"
        self._untold = 0
        self._waiting.forget(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase == "answer" and not self._is_busy():
            self._unsent = self.transport.get_write_buffer_size()
            self._waiting.watch(self, self.timeout_keep_alive + SILENCE)

    # Called by `Waiting`.

    def on_overdue(self) -> None:
        if self.transport.is_closing():
            self.transport.abort()
        elif self._phase == "head" and self._untold:
            detail = f"the head was not there in {self._limits.head_timeout:g} seconds"
            self._refuse(Refused(408, "head_timeout", f"{detail} (EDDYLINE_HEAD_TIMEOUT)"))
        elif self._phase == "body" and self.flow.read_paused:
            # It is the app that does not read.
            self._waiting.watch(self, self._limits.body_timeout)
        elif self._phase == "body":
            detail = f"nothing of the body came in {self._limits.body_timeout:g} seconds"
            self._refuse(Refused(408, "body_timeout", f"{detail} (EDDYLINE_BODY_TIMEOUT)"))
        else:
            self._end_idle()

    def on_crowded(self) -> None:
        self.transport.abort()

    def _end_idle(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        if self._phase == "answer" and 0 < unsent < self._unsent:
            self._unsent = unsent
            self._waiting.watch(self, self.timeout_keep_alive + SILENCE)
        elif unsent:
            self.transport.abort()
        else:
            self.transport.close()

    # Refusals.

    def _fail(self, refused: Refused) -> NoReturn:
        self._fault = refused
        raise refused

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn when the parser has failed."""
        malformed = Refused(400, "malformed", "this is no request that RFC 9112 knows")
        self._refuse(self._fault or malformed)

    def _refuse(self, refused: Refused) -> None:
        self._waiting.refused(refused.reason)
        reading = self.cycle if self._phase == "body" else None
        self._phase = "dropped"
        if reading is not None:
            self._refuse_rest(reading, refused)
        elif self._is_busy():
            # Its answers go out first, and the connection ends with the last of them.
            last = self.pipeline[0][0] if self.pipeline else self.running
            assert last is not None
            last.keep_alive = False
            self._waiting.forget(self)
        else:
            self._answer(refused)

    def _refuse_rest(self, cycle: RequestResponseCycle, refused: Refused) -> None:
        """Refuses a request whose body is still coming: its app is told that the client left."""
        answered, begun = cycle.response_complete, cycle.response_started
        cycle.disconnected = True
        cycle.message_event.set()
        if answered:
            self.linger()
        elif begun or cycle is not self.running:
            self.transport.abort()
        else:
            self._answer(refused)

    def _is_busy(self) -> bool:
        return self.running is not None and not self.running.response_complete

    def _answer(self, refused: Refused) -> None:
        phrase = HTTPStatus(refused.status).phrase
        body = orjson.dumps(
            {"title": phrase, "status": refused.status, "detail": refused.detail},
        )
        lines = (
            f"HTTP/1.1 {refused.status} {phrase}",
            "content-type: application/problem+json",
            f"content-length: {len(body)}",
            "connection: close",
        )
        self.transport.write("\r\n".join((*lines, "", "")).encode() + body)
        self.linger()

    def linger(self) -> None:
        """Ends a connection whose client may still send: bytes of it are read and dropped."""
        self._phase = "dropped"
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._dropped_until = self.loop.time() + LINGER
        self._waiting.watch(self, SILENCE)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:  # TLS
            self.transport.close()
