"""The contract of an upstream, for each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from eddyline.errors import UpstreamError
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams import openai
from eddyline_chat.upstreams.base import Upstream
from eddyline_chat.upstreams.demo import Demo
from eddyline_chat.upstreams.scripted import Scripted

QUESTION: Any = [{"role": "user", "content": "Hello"}]
TOKENS = ["one ", "two ", "naïve 🜁"]


@pytest.fixture(params=["openai", "demo", "scripted"])
async def upstream(request: pytest.FixtureRequest, fake: Any) -> AsyncIterator[Upstream]:
    """Answers any question with TOKENS."""

    async def answer(exchange: Any) -> None:
        exchange.tokens(*TOKENS)
        exchange.end()

    fake.answer = answer
    if request.param == "openai":
        settings = ChatSettings(upstream=fake.url, model="m", idle_timeout=5.0)
        async with openai.upstreams(settings) as upstreams:
            yield upstreams.tokens
    else:
        yield Demo(lambda _: TOKENS) if request.param == "demo" else Scripted(*TOKENS)


async def collect(upstream: Upstream, seen: list[str] | None = None) -> list[str]:
    seen = [] if seen is None else seen
    async with aclosing(upstream.complete(QUESTION)) as tokens:
        async for token in tokens:
            seen.append(token)
    return seen


async def test_an_answer_comes_token_by_token_and_ends(upstream: Upstream) -> None:
    for _ in range(2):
        assert await collect(upstream) == TOKENS


async def test_answers_at_the_same_time_are_apart(upstream: Upstream) -> None:
    answers = await asyncio.gather(*(collect(upstream) for _ in range(5)))
    assert answers == [TOKENS] * 5


async def test_an_answer_that_is_closed_early_ends_there(upstream: Upstream) -> None:
    tokens = upstream.complete(QUESTION)
    assert await anext(tokens) == TOKENS[0]
    await tokens.aclose()
    assert await anext(tokens, None) is None
    assert await collect(upstream) == TOKENS


async def test_an_answer_that_is_never_read_costs_nothing(upstream: Upstream, fake: Any) -> None:
    await upstream.complete(QUESTION).aclose()
    assert fake.questions == []


def refusing(exchange: Any) -> None:
    exchange.refuse(500, {})


def failing(exchange: Any) -> None:
    exchange.tokens("one ")
    exchange.data({"error": {"message": "died"}})


@pytest.mark.parametrize(("behave", "before"), [(refusing, []), (failing, ["one "])])
@pytest.mark.parametrize("kind", ["openai", "scripted"])
async def test_an_answer_that_is_not_whole_ends_in_an_upstream_error(
    fake: Any, kind: str, behave: Callable[[Any], None], before: list[str]
) -> None:
    async def answer(exchange: Any) -> None:
        behave(exchange)

    async def fails(upstream: Upstream) -> None:
        seen: list[str] = []
        with pytest.raises(UpstreamError):
            await collect(upstream, seen)
        assert seen == before

    fake.answer = answer
    if kind == "scripted":
        await fails(Scripted(*before, error=UpstreamError("it died")))
        return
    settings = ChatSettings(upstream=fake.url, model="m", idle_timeout=5.0)
    async with openai.upstreams(settings) as upstreams:
        await fails(upstreams.tokens)
