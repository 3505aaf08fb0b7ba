"""The demo upstream: the lesson's texts at the lesson's pace, without a model."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Message, Upstreams

LABEL = "demo (simulated)"


class Demo:
    """Answers with the tokens that `script` makes of the last message.

    It waits `before` the first token and `after` each one, in seconds.
    """

    def __init__(
        self, script: Callable[[str], Iterable[str]], *, before: float = 0.0, after: float = 0.0
    ) -> None:
        self._script = script
        self._before = before
        self._after = after

    async def complete(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        await asyncio.sleep(self._before)
        for token in self._script(messages[-1]["content"]):
            yield token
            await asyncio.sleep(self._after)


def words(prompt: str) -> Iterable[str]:
    text = (
        f"Here is my response to '{prompt}': "
        "This is a streaming response that appears word by word."
    )
    return (word + " " for word in text.split())


def characters(message: str) -> Iterable[str]:
    return f"You said: {message}. Here's my thoughtful response about that topic."


def sentence(message: str) -> Iterable[str]:
    return (f"You said: {message}. Here's my response.",)


@asynccontextmanager
async def upstreams(_: ChatSettings) -> AsyncIterator[Upstreams]:
    yield Upstreams(
        LABEL,
        words=Demo(words, after=0.1),
        tokens=Demo(characters, after=0.02),
        whole=Demo(sentence, before=2.0),
    )
