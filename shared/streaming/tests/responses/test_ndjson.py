"""NDJSON of any values, in an app that has nothing of ours."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from eddyline import NdjsonResponse
from eddyline.testing import PATIENCE, eventually, fetch


def app_of(response: Response) -> Starlette:
    async def values(_: object) -> Response:
        return response

    return Starlette(routes=[Route("/", values)])


async def all_of(url: str) -> tuple[list[Any], bool | None]:
    stream = await fetch(url)
    assert stream.headers["content-type"].startswith("application/x-ndjson")
    return [value async for value in stream.values()], stream.clean


def blocking(count: int, closed: list[bool]) -> Iterator[dict[str, int]]:
    try:
        for n in range(count):
            yield {"n": n}
    finally:
        closed.append(True)


async def suspending(count: int, closed: list[bool]) -> AsyncIterator[dict[str, int]]:
    try:
        for n in range(count):
            await asyncio.sleep(0)
            yield {"n": n}
    finally:
        closed.append(True)


@pytest.mark.parametrize("values", [blocking, suspending])
async def test_all_values_come_in_order_and_the_producer_is_closed(serve, values):
    closed: list[bool] = []
    async with serve(app_of(NdjsonResponse(values(5000, closed)))) as (url, _):
        assert await all_of(url) == ([{"n": n} for n in range(5000)], True)
        assert closed == [True]


async def test_a_list_and_no_values_at_all_are_bodies_too(serve):
    async with serve(app_of(NdjsonResponse(["a", None, 1]))) as (url, _):
        assert await all_of(url) == (["a", None, 1], True)
    async with serve(app_of(NdjsonResponse([]))) as (url, _):
        assert await all_of(url) == ([], True)


async def test_a_function_is_called_when_the_body_begins(serve):
    closed: list[bool] = []
    async with serve(app_of(NdjsonResponse(lambda: blocking(3, closed)))) as (url, _):
        for _ in range(2):
            assert await all_of(url) == ([{"n": 0}, {"n": 1}, {"n": 2}], True)
        assert closed == [True, True]


async def test_each_value_of_an_async_producer_is_sent_at_once(serve):
    go_on = asyncio.Event()

    async def two() -> AsyncIterator[int]:
        yield 1
        await go_on.wait()
        yield 2

    async with serve(app_of(NdjsonResponse(two()))) as (url, _):
        stream = await fetch(url)
        assert await stream.read() == b"1\n"
        go_on.set()
        assert await stream.body() == b"2\n"


async def test_no_value_of_a_blocking_producer_waits_for_the_one_after_it(serve):
    go_on = threading.Event()

    def some() -> Iterator[int]:
        yield from (1, 2)
        assert go_on.wait(PATIENCE)
        yield 3

    async with serve(app_of(NdjsonResponse(some()))) as (url, _):
        stream = await fetch(url)
        got = b""
        while got != b"1\n2\n":
            got += await stream.read()
        go_on.set()
        assert await stream.body() == b"3\n"


@pytest.mark.parametrize("values", [blocking, suspending])
async def test_a_client_that_leaves_closes_the_producer(serve, values):
    closed: list[bool] = []
    async with serve(app_of(NdjsonResponse(values(10_000_000, closed)))) as (url, _):
        stream = await fetch(url)
        await stream.read()
        assert closed == []
        stream.reset()
        await eventually(lambda: closed == [True])


async def test_a_value_that_json_lacks_cuts_the_body_short(serve):
    values = [*({"n": n} for n in range(10_000)), {1, 2}]
    async with serve(app_of(NdjsonResponse(values))) as (url, _):
        got, clean = await all_of(url)
        assert got
        assert got == values[: len(got)]
        assert clean is False
