"""An answer on its way to the client, in one of the lesson's three forms.

The head goes out with the first bytes of the body: an upstream that fails before them gives a real
error status.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from eddyline.errors import StreamingError, Unavailable, UpstreamError
from eddyline.responses.body import Body, BodyResponse
from eddyline.service.admission import StreamContext
from eddyline.service.drain import Drain
from eddyline.wire import sse

#: Bytes of an answer that is gathered before it is sent.
_WHOLE_LIMIT = 16 * 1024 * 1024

#: Seconds before the drain's deadline, which cuts without a word, at which an unfinished answer
#: gets its error.
_BEFORE_DEADLINE = 0.5


class Form(Protocol):
    """How an answer is written. One object for each answer."""

    media_type: str

    def token(self, text: str) -> bytes: ...

    def end(self) -> bytes:
        """The bytes that say that the answer is whole."""

    def failure(self, detail: str) -> bytes | None:
        """The bytes that say that the answer failed; None where only a broken connection can."""


class PlainText:
    media_type = "text/plain"

    def token(self, text: str) -> bytes:
        # An upstream may cut a pair of surrogates in two.
        return text.encode("utf-8", "replace")

    def end(self) -> bytes:
        return b""

    def failure(self, detail: str) -> bytes | None:
        return None


class EventStream:
    media_type = sse.EVENT_STREAM

    def token(self, text: str) -> bytes:
        return sse.encode(json.dumps({"token": text}))

    def end(self) -> bytes:
        return sse.encode(json.dumps({"done": True}))

    def failure(self, detail: str) -> bytes | None:
        return sse.encode(json.dumps({"error": detail}), event="error")


class Whole:
    """One JSON object when all of the answer is there: until then nothing is sent, and an error
    has its status.
    """

    media_type = "application/json"

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
    ) -> None:
        self.tokens = tokens
        self.form = form
        # nosniff: no browser may take the echo of a prompt for HTML.
        more = {"X-Chat-Upstream": label, "X-Content-Type-Options": "nosniff"}
        headers = {**sse.STREAM_HEADERS, **more}
        super().__init__(context, media_type=form.media_type, headers=headers)

    async def send_body(self, body: Body) -> None:
        try:
            async with _until_drained(self.context.drain), aclosing(self.tokens) as tokens:
                async for token in tokens:
                    await body.write(self.form.token(token))
            end = self.form.end()
        except StreamingError as error:
            failure = self.form.failure(error.detail)
            if not body.begun or failure is None:
                raise
            end = failure
        await body.end(end)


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
