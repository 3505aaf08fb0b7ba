"""The contract of an upstream, for each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from eddyline.errors import UpstreamError
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams import openai
from eddyline_chat.upstreams.base import Upstream
from eddyline_chat.upstreams.demo import Demo
from eddyline_chat.upstreams.scripted import Scripted

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


async def test_an_answer_comes_token_by_token_and_ends(upstream: Upstream, gather: Any) -> None:
    for _ in range(2):
        assert await gather().whole(upstream) == TOKENS


async def test_answers_at_the_same_time_are_apart(upstream: Upstream, gather: Any) -> None:
    answers = await asyncio.gather(*(gather().whole(upstream) for _ in range(5)))
    assert answers == [TOKENS] * 5


async def test_nothing_is_told_before_the_exchange_is_there(
    upstream: Upstream, gather: Any
) -> None:
    told = gather()
    exchange = told.ask(upstream)
    assert (told.texts, told.ended.done()) == ([], False)
    exchange.close()


async def test_an_answer_that_is_closed_early_ends_there(upstream: Upstream, gather: Any) -> None:
    told = gather()
    exchange = told.ask(upstream)
    await asyncio.wait_for(told.some.wait(), 20)
    exchange.close()
    before = list(told.texts), told.ended.done()
    assert await gather().whole(upstream) == TOKENS
    assert (told.texts, told.ended.done()) == before


async def test_an_answer_that_is_paused_waits(upstream: Upstream, gather: Any) -> None:
    told = gather()
    exchange = told.ask(upstream)
    exchange.pause()
    await gather().whole(upstream)  # long enough
    assert told.texts == []
    exchange.resume()
    await asyncio.wait_for(told.ended, 20)
    assert told.texts == TOKENS


def refusing(exchange: Any) -> None:
    exchange.refuse(500, {})


def failing(exchange: Any) -> None:
    exchange.tokens("one ")
    exchange.data({"error": {"message": "died"}})


@pytest.mark.parametrize(("behave", "before"), [(refusing, []), (failing, ["one "])])
@pytest.mark.parametrize("kind", ["openai", "scripted"])
async def test_an_answer_that_is_not_whole_ends_in_an_upstream_error(
    fake: Any, gather: Any, kind: str, behave: Callable[[Any], None], before: list[str]
) -> None:
    async def answer(exchange: Any) -> None:
        behave(exchange)

    async def fails(upstream: Upstream) -> None:
        told = gather()
        with pytest.raises(UpstreamError):
            await told.whole(upstream)
        assert told.texts == before

    fake.answer = answer
    if kind == "scripted":
        await fails(Scripted(*before, error=UpstreamError("it died")))
        return
    settings = ChatSettings(upstream=fake.url, model="m", idle_timeout=5.0)
    async with openai.upstreams(settings) as upstreams:
        await fails(upstreams.tokens)
