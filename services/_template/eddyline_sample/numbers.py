"""The items of the stream: replace this module by your own source."""

import asyncio
from collections.abc import AsyncIterator

from typing_extensions import TypedDict

from eddyline.wire import ndjson


class Number(TypedDict):
    number: int


async def numbers(first: int, last: int, interval: float) -> AsyncIterator[bytes]:
    """A line of NDJSON for each number, both ends included. The next is made when it has room."""
    for number in range(first, last + 1):
        yield ndjson.encode(Number(number=number))
        await asyncio.sleep(interval)
