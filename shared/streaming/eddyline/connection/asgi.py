"""A connection on any ASGI server: one bounded buffer and one task, that of the request."""

import asyncio
from collections import deque

from starlette.types import Receive, Send

from eddyline.connection.base import BARE, HIGH_WATER, LOW_WATER, Listener


class AsgiConnection:
    """A connection on any ASGI server: one bounded buffer and one task, that of the request."""

    framing = BARE

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.full: bool = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._ending = False
        self._last = b""
        self._cut = False
        self._aborted = asyncio.Event()

    @property
    def buffered(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        if self._ending or not data:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._wake.set()
        if self._size > HIGH_WATER and not self.full:
            self.full = True
            if self.listener is not None:
                self.listener.on_full()

    def write_framed(self, data: bytes) -> None:
        self.write(data)

    def close(self, last: bytes = b"") -> None:
        if not self._ending:
            self._last = last
        self._ending = True
        self._wake.set()

    def cut(self) -> None:
        self._cut = True
        self.close()

    def abort(self) -> None:
        self._ending = True
        self._aborted.set()

    async def run(self, receive: Receive, send: Send) -> None:
        """Carries bytes until the body ends or the client leaves."""
        tasks = {
            asyncio.create_task(self._pump(send)),
            asyncio.create_task(self._client_leaves(receive)),
            asyncio.create_task(self._aborted_is_set()),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ending = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            listener, self.listener = self.listener, None
            if listener is not None:
                listener.on_close()

    async def _pump(self, send: Send) -> None:
        while self._chunks or not self._ending:
            await self._wake.wait()
            self._wake.clear()
            while self._chunks:
                data = self._chunks.popleft()
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._taken(len(data))
        if not self._cut:
            await send({"type": "http.response.body", "body": self._last, "more_body": False})

    def _taken(self, size: int) -> None:
        self._size -= size
        if self.full and self._size < LOW_WATER:
            self.full = False
            if self.listener is not None:
                self.listener.on_writable()

    async def _client_leaves(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _aborted_is_set(self) -> None:
        await self._aborted.wait()
