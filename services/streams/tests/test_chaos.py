"""A thousand readers, cut off at random bytes: each has every byte, once."""

import asyncio
import base64
import json
import random
from collections.abc import Callable

import httpx
import pytest

from eddyline.testing import FaultProxy, Stream, fetch, running
from eddyline_streams.app import create_app
from eddyline_streams.settings import StreamsSettings

READERS = 1000

#: Readers at a time.
AT_ONCE = 25


class Reader:
    """Reads on from its last offset until the stream has ended, however often it is cut off."""

    def __init__(self, proxy: FaultProxy, live: str, cut: Callable[[], int]) -> None:
        self.proxy = proxy
        self.live = live
        self.cut = cut
        self.offset = "-1"
        self.parts: list[bytes] = []
        self.tries = 0

    async def read(self) -> None:
        done = False
        while not done:
            self.tries += 1
            self.proxy.cut_after = self.cut()
            url = f"{self.proxy.url}/v1/stream/a?offset={self.offset}{self.live}"
            try:
                async with await fetch(url) as stream:
                    assert stream.status == 200
                    done = await (self._events(stream) if self.live else self._page(stream))
            except (ConnectionError, asyncio.IncompleteReadError):
                continue

    async def _page(self, stream: Stream) -> bool:
        body = await stream.body()
        if not stream.clean:
            return False  # cut off: without its end it is worth nothing
        self.parts.append(body)
        self.offset = stream.headers["stream-next-offset"]
        return "stream-closed" in stream.headers

    async def _events(self, stream: Stream) -> bool:
        data = b""
        while (event := await stream.event()) is not None:
            if event.event == "data":
                data += base64.b64decode(event.data)
                continue
            control = json.loads(event.data)
            self.parts.append(data)
            self.offset, data = control["streamNextOffset"], b""
            if control.get("streamClosed"):
                return True
        return False


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("live", "cuts"), [("", (300, 20_000)), ("&live=sse", (2000, 30_000))])
async def test_readers_that_are_cut_at_random_bytes_have_every_byte_once(
    live: str, cuts: tuple[int, int]
) -> None:
    chosen = random.Random(live)
    source = [chosen.randbytes(chosen.randrange(1, 500)) for _ in range(60)]
    app = create_app(StreamsSettings(piece_bytes=8000))
    async with running(app) as server, FaultProxy(server.port) as proxy:
        url = f"{server.url}/v1/stream/a"
        async with httpx.AsyncClient() as writer:
            await writer.put(url, headers={"Content-Type": "application/x-bytes"})

            async def write() -> None:
                for record in source:
                    await writer.post(
                        url, content=record, headers={"Content-Type": "application/x-bytes"}
                    )
                await writer.post(url, headers={"Stream-Closed": "true"})

            writing = asyncio.create_task(write())
            readers = [Reader(proxy, live, lambda: chosen.randrange(*cuts)) for _ in range(READERS)]

            async def some(part: list[Reader]) -> None:
                for reader in part:
                    await reader.read()

            async with asyncio.timeout(240):
                await asyncio.gather(*(some(readers[n::AT_ONCE]) for n in range(AT_ONCE)))
            await writing
        whole = b"".join(source)
        assert all(b"".join(reader.parts) == whole for reader in readers)
        assert sum(reader.tries for reader in readers) > 2 * READERS
