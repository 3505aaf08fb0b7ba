"""A process that stops under load: each stream is whole up to its end, and all of it is in time.

Its journal is in memory and ends with it: that nothing is lost over a restart takes a journal that
stays.
"""

import asyncio
import json
import signal
import time

import pytest

from eddyline.testing import Stream, eventually, fetch
from eddyline.wire.sse import Event

#: Seconds.
WINDOW = 2.0


async def publish(url: str, published: list[int]) -> None:
    """As fast as one connection after the other can; returns when the server takes no more."""
    count = 0
    while True:
        count += 1
        body = json.dumps({"topic": "load", "data": count}).encode()
        try:
            answer = await fetch(f"{url}/events", method="POST", body=body)
        except (OSError, asyncio.IncompleteReadError):
            return
        await answer.close()
        if answer.status != 201:
            return
        published.append(count)
        await asyncio.sleep(0.005)  # sleep: the pace of a publisher


async def listen(stream: Stream) -> tuple[list[Event], float]:
    events = []
    while (event := await stream.event(60)) is not None:
        events.append(event)
    return events, time.monotonic()


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
async def test_all_is_contiguous_and_ends_in_the_window(launch, get, count: int) -> None:  # type: ignore[no-untyped-def]
    with launch("eddyline_standalone.serve", "events", EDDYLINE_DRAIN_WINDOW=str(WINDOW)) as served:
        streams = [await get(f"{served.url}/events?topic=load") for _ in range(count)]
        listeners = [asyncio.create_task(listen(stream)) for stream in streams]
        published: list[int] = []
        publisher = asyncio.create_task(publish(served.url, published))
        await eventually(lambda: len(published) >= 20)

        served.process.send_signal(signal.SIGTERM)
        heard = await asyncio.gather(*listeners)
        # gunicorn kills a worker that outlives its grace, and the master then says so.
        assert await asyncio.to_thread(served.process.wait, 60) == 0
        assert "SIGKILL" not in served.output()
        await publisher

    ends = [ended for _, ended in heard]
    assert max(ends) - min(ends) > WINDOW / 2, (
        "spread over the window, so that all don't return at once"
    )
    for stream, (events, _) in zip(streams, heard, strict=True):
        numbers = [json.loads(event.data) for event in events]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 20
        # Inside of the window, by the server's own clock: later it would be cut.
        assert stream.clean
        assert stream.parser.retry is not None
