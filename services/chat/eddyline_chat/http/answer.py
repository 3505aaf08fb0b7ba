"""An answer on its way to the client, in one of the lesson's three forms.

The head goes out with the first bytes of the body, or after some seconds without any: an upstream
that fails before it gives a real error status.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from eddyline.errors import StreamingError, Unavailable, UpstreamError
from eddyline.responses.body import Body, BodyResponse
from eddyline.service.admission import StreamContext
from eddyline.service.drain import Drain
from eddyline.wire import sse
from eddyline_chat.http.reading import End, Reading, reading
from eddyline_chat.upstreams.base import AnswerLimited

#: Bytes of an answer that is gathered before it is sent.
_WHOLE_LIMIT = 16 * 1024 * 1024

#: Seconds before the drain's deadline, which cuts without a word, at which an unfinished answer
#: gets its error.
_BEFORE_DEADLINE = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of silence: after `head` the head of the response goes out, and each `heartbeat`
    after that a sign of life.
    """

    head: float
    heartbeat: float


class Form(Protocol):
    """How an answer is written. One object for each answer."""

    media_type: str

    @property
    def heartbeat(self) -> bytes | None:
        """The bytes of a sign of life. Empty: the head is the only one that this form has. None:
        the form has none, and its status waits for the end of the answer.
        """

    def token(self, text: str) -> bytes: ...

    def end(self) -> bytes:
        """The bytes that say that the answer is whole."""

    def limited(self, reason: str) -> bytes | None:
        """The bytes that say that the answer reached a limit of the model, as `reason`; None where
        only a broken connection can.
        """

    def failure(self, detail: str) -> bytes | None:
        """The bytes that say that the answer failed; None where only a broken connection can."""


class PlainText:
    media_type = "text/plain"
    heartbeat = b""

    def token(self, text: str) -> bytes:
        return text.encode("utf-8", "replace")

    def end(self) -> bytes:
        return b""

    def limited(self, reason: str) -> bytes | None:
        return None

    def failure(self, detail: str) -> bytes | None:
        return None


class EventStream:
    media_type = sse.EVENT_STREAM
    heartbeat = sse.COMMENT

    def token(self, text: str) -> bytes:
        return sse.encode(json.dumps({"token": text}))

    def end(self) -> bytes:
        return sse.encode(json.dumps({"done": True}))

    def limited(self, reason: str) -> bytes | None:
        return sse.encode(json.dumps({"done": True, "finish_reason": reason}))

    def failure(self, detail: str) -> bytes | None:
        return sse.encode(json.dumps({"error": detail}), event="error")


class Whole:
    """One JSON object when all of the answer is there: until then nothing is sent, and an error
    has its status.
    """

    media_type = "application/json"
    heartbeat = None

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._size = 0

    def token(self, text: str) -> bytes:
        self._texts.append(text)
        self._size += len(text)
        if self._size > _WHOLE_LIMIT:
            raise UpstreamError(f"the upstream's answer has more than {_WHOLE_LIMIT} characters")
        return b""

    def end(self) -> bytes:
        return json.dumps({"response": "".join(self._texts)}).encode()

    def limited(self, reason: str) -> bytes | None:
        return json.dumps({"response": "".join(self._texts), "finish_reason": reason}).encode()

    def failure(self, detail: str) -> bytes | None:
        return None


class AnswerResponse(BodyResponse):
    """Sends `tokens` in `form` as they come, and closes them when the client leaves."""

    def __init__(
        self,
        tokens: AsyncGenerator[str, None],
        form: Form,
        context: StreamContext,
        label: str,
        pace: Pace,
    ) -> None:
        self.tokens = tokens
        self.form = form
        self.pace = pace
        # nosniff: no browser may take the echo of a prompt for HTML.
        more = {"X-Chat-Upstream": label, "X-Content-Type-Options": "nosniff"}
        headers = {**sse.STREAM_HEADERS, **more}
        super().__init__(context, media_type=form.media_type, headers=headers)

    async def send_body(self, body: Body) -> None:
        try:
            async with _until_drained(self.context.drain), reading(self.tokens) as tokens:
                await self._send_tokens(body, tokens)
            end = self.form.end()
        except AnswerLimited as error:
            limited = self.form.limited(error.reason)
            if limited is None:
                raise
            end = limited
        except StreamingError as error:
            failure = self.form.failure(error.detail)
            if not body.begun or failure is None:
                raise
            end = failure
        await body.end(end)

    async def _send_tokens(self, body: Body, tokens: Reading) -> None:
        patience = self.pace.head
        while True:
            try:
                token = await tokens.next(patience)
            except TimeoutError:
                patience = await self._speak(body)
                continue
            if isinstance(token, End):
                if token.error is not None:
                    raise token.error
                return
            await body.write(self.form.token(token))
            patience = self.pace.heartbeat if body.begun else self.pace.head

    async def _speak(self, body: Body) -> float:
        """Shows that the answer is on its way; the seconds of silence until the next time."""
        if self.form.heartbeat is not None:
            await body.begin()
            await body.write(self.form.heartbeat)
        return self.pace.heartbeat


@asynccontextmanager
async def _until_drained(drain: Drain) -> AsyncIterator[None]:
    """Raises Unavailable inside when the drain's window is all but over."""
    owner = object()
    try:
        async with asyncio.timeout(None) as deadline:
            drain.on_begin(owner, lambda window: _reschedule(deadline, window))
            yield
    except TimeoutError:
        raise Unavailable("this process is stopping: the answer is not whole", 2.0) from None
    finally:
        drain.forget(owner)


def _reschedule(deadline: asyncio.Timeout, window: float) -> None:
    margin = min(_BEFORE_DEADLINE, window / 2)
    deadline.reschedule(asyncio.get_running_loop().time() + window - margin)
