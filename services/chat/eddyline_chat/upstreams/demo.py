"""The demo upstream: the lesson's texts at the lesson's pace, without a model."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from eddyline_chat.openai.chunk import completion_of, written
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Question, Receiver, Upstreams

LABEL = "demo (simulated)"
MODEL = "demo"

#: Makes the tokens of an answer.
Script = Callable[[str], Iterable[str]]


class Demo:
    """Answers with the tokens that `script` makes of the last message.

    It waits `before` the first token and `after` each one, in seconds. `finish`: its finish reason;
    the lesson's answers have none.
    """

    def __init__(
        self, script: Script, *, before: float = 0.0, after: float = 0.0, finish: str = ""
    ) -> None:
        self._script = script
        self._finish = finish
        self._before = before
        self._after = after
        self._asked = count(1)

    def ask(self, question: Question, receiver: Receiver) -> "Telling":
        message = question.body["messages"][-1].get("content")
        tokens = self._script(message if isinstance(message, str) else "your message")
        common: dict[str, Any] = {
            "id": f"chatcmpl-demo-{next(self._asked)}",
            "created": int(time.time()),
        }
        common |= {"model": MODEL}
        telling = Telling(iter(tokens), receiver, self._after, common, self._finish)
        if question.body.get("stream", True):
            telling.wait(self._before)
        else:
            telling.tell_whole("".join(tokens))
        return telling


class Telling:
    """One answer of the demo, token by token, by a timer."""

    def __init__(
        self,
        tokens: Iterable[str],
        receiver: Receiver,
        after: float,
        common: dict[str, Any],
        finish: str,
    ) -> None:
        self._finish = finish
        self._tokens = iter(tokens)
        self._receiver = receiver
        self._after = after
        self._common = {**common, "object": "chat.completion.chunk"}
        self._paused = self._due = False
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tell)

    def tell_whole(self, text: str) -> None:
        whole = written({**completion_of(text), **self._common, "object": "chat.completion"})
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(0, self._receiver.on_end, None, [whole])

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._due:
            self.wait(0)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self._due = self._paused
        if self._paused:
            return
        token = next(self._tokens, None)
        if token is None:
            end = {"index": 0, "delta": {}, "finish_reason": self._finish}
            last = [written({**self._common, "choices": [end]})] if self._finish else []
            self._receiver.on_end(None, last)
            return
        choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
        self.wait(self._after)
        self._receiver.on_chunks([written({**self._common, "choices": [choice]})])


def words(prompt: str) -> Iterable[str]:
    text = (
        f"Here is my response to '{prompt}': "
        "This is a streaming response that appears word by word."
    )
    return [word + " " for word in text.split()]


def characters(message: str) -> Iterable[str]:
    return f"You said: {message}. Here's my thoughtful response about that topic."


def sentence(message: str) -> Iterable[str]:
    return (f"You said: {message}. Here's my response.",)


@asynccontextmanager
async def upstreams(_: ChatSettings) -> AsyncIterator[Upstreams]:
    yield Upstreams(
        LABEL,
        MODEL,
        words=Demo(words, after=0.1),
        tokens=Demo(characters, after=0.02),
        whole=Demo(sentence, before=2.0),
        completions=Demo(words, after=0.1, finish="stop"),
    )
