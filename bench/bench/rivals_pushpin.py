"""Pushpin as a rival, and the origin that it asks about each subscriber: hold the stream.

    python -m bench.rivals_pushpin ORIGIN_PORT PUSHPIN_OPTION…

The origin's answer is always the same, so it costs little; once a stream is held it costs nothing.
"""

import asyncio
import sys
from typing import cast

HOLD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nGrip-Hold: stream\r\n"
    b"Grip-Channel: bench\r\nContent-Length: 3\r\n\r\n:\n\n"
)


class Origin(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        while b"\r\n\r\n" in self._head:
            self._head = self._head.partition(b"\r\n\r\n")[2]
            self._transport.write(HOLD)


async def main(port: int, options: list[str]) -> int:
    loop = asyncio.get_running_loop()
    await loop.create_server(Origin, "127.0.0.1", port, backlog=4096)
    pushpin = await asyncio.create_subprocess_exec("pushpin", *options)
    return await pushpin.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]), sys.argv[2:])))
