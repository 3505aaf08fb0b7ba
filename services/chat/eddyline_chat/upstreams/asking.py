"""One question on its way through an OpenAI server: redirects, refusals, chunks, and silence."""

import logging
import zlib
from collections.abc import Callable, Sequence

from eddyline.errors import StreamingError, UpstreamError
from eddyline_chat.client.base import Fault, Head, Unreachable
from eddyline_chat.client.origin import joined
from eddyline_chat.client.pool import Exchange
from eddyline_chat.openai.chunk import Chunk, failed, load
from eddyline_chat.openai.completion import Completion
from eddyline_chat.openai.events import Events
from eddyline_chat.upstreams.base import Receiver
from eddyline_chat.upstreams.patience import Patience
from eddyline_chat.upstreams.refusal import BODY_LIMIT, BODY_WAIT, refusal

_log = logging.getLogger(__name__)

#: Seconds: for `[DONE]` to come after the finish reason; for the body to end after `[DONE]`, so
#: that the connection can be used again.
_AFTER_FINISH = 1.0
_LINGER = 0.05

#: Bytes of an answer that comes in one piece.
_WHOLE_LIMIT = 16 * 1024 * 1024

#: Redirects that are followed: to the same origin, and by a status that keeps the method.
_REDIRECTS = 3
_SAME_METHOD = frozenset((307, 308))

#: Sends the question to a URL of the origin.
Send = Callable[[str, "Asking"], Exchange]


class Asking:
    """A `client.base.Receiver` of the response, and the `Exchange` of the question's receiver."""

    def __init__(
        self,
        url: str,
        send: Send,
        receiver: Receiver,
        completion: Completion,
        times: tuple[float, float],
        *,
        stream: bool,
    ) -> None:
        """`times`: seconds for the first token, and for each later one."""
        self._url = url
        self._send = send
        self._receiver: Receiver | None = receiver
        self._completion = completion
        self._first_token, self._idle = times
        self._stream = stream
        self._redirects = 0
        self._head = Head(0, {})
        self._events = Events()
        self._inflate: Callable[[bytes], bytes] | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._patience = Patience(self._first_token, self._silent)
        self._exchange = send(url, self)

    # The exchange.

    def pause(self) -> None:
        self._patience.pause()
        self._exchange.pause()

    def resume(self) -> None:
        self._patience.resume()
        self._exchange.resume()

    def close(self) -> None:
        if (
            self._receiver is not None
        ):  # an answer that has ended may still give its connection back
            self._receiver = None
            self._patience.stop()
            self._exchange.close()

    # Called by the client.

    def on_head(self, head: Head) -> None:
        self._head = head
        if head.status == 200:
            try:
                self._inflate = _decoder(head.headers.get("content-encoding", "identity"))
            except UpstreamError as error:
                self._end(error)
        elif head.status in _SAME_METHOD and (url := self._same_origin()) is not None:
            self._redirect(url)
        else:
            self._patience.begin(BODY_WAIT)

    def on_body(self, data: bytes) -> None:
        try:
            if self._inflate is not None:
                data = self._inflate(data)
        except zlib.error:
            self._end(UpstreamError("the upstream sent bytes that are not what it says"))
            return
        if self._head.status == 200 and self._stream:
            self._read(data)
            return
        self._body.append(data)
        self._size += len(data)
        if self._head.status != 200 and self._size > BODY_LIMIT:
            self._end(self._refusal(b""))
        elif self._size > _WHOLE_LIMIT:
            self._end(UpstreamError(f"the upstream's answer has more than {_WHOLE_LIMIT} bytes"))

    def on_end(self, fault: Fault | None) -> None:
        if self._head.status not in (0, 200):
            self._end(self._refusal(b"".join(self._body)))
        elif fault is not None and not self._completion.finished:
            _log.warning("upstream failed: %r", fault)
            self._end(UpstreamError(_how(fault)))
        elif self._stream:
            self._end(None)
        else:
            self._read_whole()

    def _read(self, data: bytes) -> None:
        """Hands on the chunks of one read, and the end where it is among them."""
        completion, chunks = self._completion, list[Chunk]()
        finished = completion.finished
        try:
            for event, text in self._events.feed(data):
                chunk = completion.take(event, text)
                if chunk is not None:
                    chunks.append(chunk)
                if completion.done:
                    self._end(None, chunks)
                    return
            if self._events.error is not None:
                text = self._events.error.encode()
                failed(load(text) if text.startswith(b"{") else None)
        except UpstreamError as error:
            self._end(error, chunks)
            return
        if chunks:
            self._heard(finished)
            if self._receiver is not None:
                self._receiver.on_chunks(chunks)

    def _heard(self, finished: bool) -> None:
        """Comments do not come here: they alone would keep a request for ever."""
        completion, patience = self._completion, self._patience
        if finished:
            return
        if completion.finished:
            patience.begin(_AFTER_FINISH)
        elif completion.begun:
            patience.begin(self._idle)
        elif completion.reasoned:
            completion.reasoned = False
            patience.begin(self._first_token)

    def _read_whole(self) -> None:
        try:
            chunk = self._completion.take("message", b"".join(self._body).strip())
        except UpstreamError as error:
            self._end(error)
        else:
            self._end(None, [] if chunk is None else [chunk])

    def _redirect(self, url: str) -> None:
        self._redirects += 1
        if self._redirects > _REDIRECTS:
            text = f"the upstream answered by more than {_REDIRECTS} redirects"
            self._end(UpstreamError(text))
            return
        self._exchange.close()
        self._url, self._head = url, Head(0, {})
        self._exchange = self._send(url, self)

    def _same_origin(self) -> str | None:
        """The URL of a redirect that may be followed with the question and the key."""
        try:
            url = joined(self._url, self._head.headers.get("location", "\n"))
        except ValueError:
            return None
        return url if joined(url, "/") == joined(self._url, "/") else None

    def _refusal(self, body: bytes) -> StreamingError:
        return refusal(self._url, self._head, body)

    def _silent(self) -> None:
        if self._head.status not in (0, 200):
            self._end(self._refusal(b""))
        elif self._completion.finished:
            self._end(None)  # the answer is there; only its `[DONE]` is not
        else:
            text = f"the upstream sent no token for {self._patience.limit:g} seconds"
            self._end(UpstreamError(text))

    def _end(self, error: StreamingError | None, chunks: Sequence[Chunk] = ()) -> None:
        receiver, self._receiver = self._receiver, None
        self._patience.stop()
        if error is None:
            try:
                self._completion.check()
            except UpstreamError as cut:
                error = cut
        if error is None:
            self._exchange.leave(_LINGER)
        else:
            self._exchange.close()
        if receiver is not None:
            receiver.on_end(error, chunks)


def _decoder(encoding: str) -> Callable[[bytes], bytes] | None:
    """Servers may compress though they were asked not to."""
    encoding = encoding.strip().lower()
    if encoding in ("identity", ""):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
    raise UpstreamError("the upstream's answer has an encoding that was not asked for")


def _how(fault: Fault) -> str:
    if not isinstance(fault, Unreachable):
        return "the connection to the upstream broke"
    late = ": it took too long to connect" if "too long" in str(fault) else ""
    return f"the upstream cannot be reached{late}"
