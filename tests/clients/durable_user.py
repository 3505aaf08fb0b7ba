"""The official Python client of Durable Streams: prints each item of a stream, up to a count."""

import asyncio
import json
import sys

import httpx
from durable_streams import astream
from durable_streams._errors import DurableStreamError


async def main(url: str, mode: str, count: str) -> None:
    offset, left = "-1", int(count)
    while left:
        try:
            async with astream(url, offset=offset, live=mode) as response:
                async for event in response.iter_events():
                    for item in event.data:
                        print(json.dumps(item), flush=True)
                    offset, left = event.next_offset, left - len(event.data)
                    if not left:
                        return
        except (httpx.HTTPError, DurableStreamError, OSError) as error:
            print(repr(error), file=sys.stderr)
        await asyncio.sleep(0.05)  # sleep: the pace of its tries


asyncio.run(main(*sys.argv[1:]))
