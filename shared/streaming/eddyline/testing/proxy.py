"""A TCP proxy with faults."""

import asyncio
from contextlib import suppress
from typing import Self

from eddyline.connection.transport import reset
from eddyline.testing.server import serving


class FaultProxy:
    """A TCP proxy before a real server, which cuts, freezes and counts."""

    def __init__(self, port: int) -> None:
        self.port: int = 0
        #: Each new connection ends after so many bytes towards the client, wherever that is.
        self.cut_after: int | None = None
        #: Where new connections go: another port is another server.
        self.target = port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving = serving(self._connect)

    async def __aenter__(self) -> Self:
        self.port = await self._serving.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._serving.__aexit__(None, None, None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Resets every connection, both sides."""
        for writer in list(self._writers):
            reset(writer.transport)

    def freeze(self) -> None:
        """Lets nothing pass any more; connections stay open."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = {writer}
        self._writers.add(writer)
        try:
            with suppress(OSError):
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
                own.add(up_writer)
                self._writers.add(up_writer)
                await asyncio.gather(
                    self._carry(reader, up_writer, None),
                    self._carry(up_reader, writer, self.cut_after),
                )
        finally:
            self._writers -= own
            for each in own:
                reset(each.transport)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int | None
    ) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if budget is not None:
                data, budget = data[:budget], budget - len(data)
            writer.write(data)
            await writer.drain()
            if budget is not None and budget <= 0:
                # A FIN: an RST would take back the bytes that the client's kernel holds and the
                # client has not read.
                writer.close()
                await writer.wait_closed()
                raise ConnectionResetError("cut after its budget")
        writer.write_eof()
