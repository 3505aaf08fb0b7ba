"""The lesson's three forms of an answer."""

import json
from typing import Any, Protocol

from eddyline.errors import StreamingError, UpstreamError
from eddyline.wire import sse
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.openai.text import Text
from eddyline_chat.upstreams.base import AnswerLimited

#: Characters of an answer that is gathered before it is sent.
_WHOLE_LIMIT = 16 * 1024 * 1024


class Form(Protocol):
    """How an answer is written. One object for each answer."""

    media_type: str

    @property
    def heartbeat(self) -> bytes | None:
        """The bytes of a sign of life. Empty: the head is the only one that this form has. None:
        the form has none, and its status waits for the end of the answer.
        """

    def chunk(self, chunk: Chunk) -> bytes:
        """The bytes of a chunk; raises StreamingError for one that has no place in this form."""

    def end(self) -> bytes:
        """The bytes that say that the answer is whole; raises StreamingError where it is not, to
        this form.
        """

    def failure(self, error: StreamingError) -> bytes | None:
        """The bytes that say that the answer failed; None where only a broken connection can."""


class PlainText:
    media_type = "text/plain"
    heartbeat = b""

    def __init__(self) -> None:
        self._text = Text()

    def chunk(self, chunk: Chunk) -> bytes:
        return self._text.take(chunk).encode("utf-8", "replace")

    def end(self) -> bytes:
        rest = self._text.rest()
        self._text.check()
        if self._text.limited:
            raise AnswerLimited("the upstream cut its answer short: length")
        return rest.encode()

    def failure(self, error: StreamingError) -> bytes | None:
        return None


class EventStream:
    media_type = sse.EVENT_STREAM
    heartbeat = sse.COMMENT

    def __init__(self) -> None:
        self._text = Text()

    def chunk(self, chunk: Chunk) -> bytes:
        text = self._text.take(chunk)
        return _token(text) if text else b""

    def end(self) -> bytes:
        rest = self._text.rest()
        self._text.check()
        last = sse.encode(json.dumps({"done": True, **_told(self._text)}))
        return (_token(rest) if rest else b"") + last

    def failure(self, error: StreamingError) -> bytes | None:
        return sse.encode(json.dumps({"error": error.detail}), event="error")


class Whole:
    """One JSON object when all of the answer is there: until then nothing is sent, and an error
    has its status.
    """

    media_type = "application/json"
    heartbeat = None

    def __init__(self) -> None:
        self._text = Text()
        self._texts: list[str] = []
        self._size = 0

    def chunk(self, chunk: Chunk) -> bytes:
        text = self._text.take(chunk)
        self._texts.append(text)
        self._size += len(text)
        if self._size > _WHOLE_LIMIT:
            raise UpstreamError(f"the upstream's answer has more than {_WHOLE_LIMIT} characters")
        return b""

    def end(self) -> bytes:
        text = "".join([*self._texts, self._text.rest()])
        self._text.check()
        return json.dumps({"response": text, **_told(self._text)}).encode()

    def failure(self, error: StreamingError) -> bytes | None:
        return None


def _token(text: str) -> bytes:
    return b'data: {"token": %b}\n\n' % json.dumps(text).encode()


def _told(text: Text) -> dict[str, Any]:
    """The finish reason and the usage, as far as the upstream tells them."""
    finish = {"finish_reason": "length" if text.limited else text.finish} if text.finish else {}
    return finish if text.usage is None else {**finish, "usage": text.usage}
