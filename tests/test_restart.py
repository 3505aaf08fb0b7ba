"""A restart under load: the old process drains, a new one follows, and nobody misses an event."""

import asyncio
import signal

import orjson
import pytest

from eddyline.testing import Stream, eventually, fetch

pytestmark = pytest.mark.slow

CLIENTS = 1000
EVENTS = 120


class Client:
    """Behaves as an EventSource with a listener of `eddyline.reset`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[int] = []
        self.resets = 0
        self.connected = False
        self._headers: dict[str, str] = {}
        self._after = ""

    async def run(self) -> None:
        while len(self.seen) < EVENTS:
            try:
                stream = await fetch(
                    f"{self.url}/events?topic=load{self._after}", headers=self._headers
                )
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.1)  # sleep: between two attempts
                continue
            try:
                await self._read(stream)
            finally:
                await stream.close()

    async def _read(self, stream: Stream) -> None:
        self.connected = True
        while len(self.seen) < EVENTS and (event := await stream.event(60)) is not None:
            if event.event == "eddyline.reset":
                # Another life of the journal: all that it has is new to us.
                reset = orjson.loads(event.data)
                assert reset["reason"] == "epoch"
                self.resets += 1
                self._headers, self._after = {}, f"&after={reset['oldest']}"
                return
            self.seen.append(orjson.loads(event.data))
        if stream.parser.last_event_id:
            self._headers, self._after = {"Last-Event-ID": stream.parser.last_event_id}, ""


async def publish(url: str, numbers: list[int]) -> None:
    """Each until it is accepted: a refusal (503) or no server at all means later, not never."""
    while numbers:
        body = orjson.dumps({"topic": "load", "data": numbers[0]})
        try:
            answer = await fetch(f"{url}/events", method="POST", body=body)
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.05)  # sleep: between two attempts
            continue
        if answer.status == 201:
            numbers.pop(0)
        else:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
        await answer.close()
        await asyncio.sleep(0.02)  # sleep: the pace of a publisher


async def test_nobody_misses_an_event_over_a_restart(launch) -> None:  # type: ignore[no-untyped-def]
    numbers = list(range(EVENTS))
    with launch("eddyline_standalone.serve", "events", EDDYLINE_DRAIN_WINDOW="2") as old:
        clients = [Client(old.url) for _ in range(CLIENTS)]
        running = [asyncio.create_task(client.run()) for client in clients]
        await eventually(lambda: all(client.connected for client in clients), 60)
        publishing = asyncio.create_task(publish(old.url, numbers))
        await eventually(lambda: len(numbers) <= EVENTS // 2, 60)
        old.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(old.process.wait, 20) == 0
        assert "Traceback" not in old.output()
    with launch("eddyline_standalone.serve", "events", port=old.port) as new:
        async with asyncio.timeout(60):
            await publishing
            await asyncio.gather(*running)
        assert new.end() == 0
    assert all(client.seen == list(range(EVENTS)) for client in clients)
    assert sum(client.resets for client in clients) == CLIENTS
