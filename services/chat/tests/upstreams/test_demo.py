"""The demo upstream gives the lesson's answers, in the lesson's pieces."""

import time
from typing import Any

from eddyline_chat.upstreams import demo
from eddyline_chat.upstreams.demo import Demo


def test_the_lessons_words() -> None:
    assert list(demo.words("Hello"))[:6] == ["Here ", "is ", "my ", "response ", "to ", "'Hello': "]
    assert "".join(demo.words("Hello")) == (
        "Here is my response to 'Hello': This is a streaming response that appears word by word. "
    )


def test_the_lessons_characters() -> None:
    text = "You said: Hi. Here's my thoughtful response about that topic."
    assert list(demo.characters("Hi")) == list(text)


async def test_the_waits_come_before_the_first_token_and_after_each(gather: Any) -> None:
    began = time.monotonic()
    told = gather()
    told.ask(Demo(demo.sentence, before=0.05, after=0.05))
    await told.some.wait()
    assert time.monotonic() - began >= 0.05
    await told.ended
    assert len(told.texts) == 1
    assert time.monotonic() - began >= 0.1
