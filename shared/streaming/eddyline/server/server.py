"""The HTTP server: uvicorn, whose responses can take their transport over, and which drains.

uvicorn's internals are touched in this folder alone, by subclassing;
`tests/server/test_private_hooks.py` pins each that is relied on.
"""

import asyncio
import functools
import gc
import resource
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import uvicorn

from eddyline.server.intake import RequestLimits, Waiting
from eddyline.server.protocol import StreamProtocol
from eddyline.service.drain import Drain
from eddyline.service.settings import EXIT_BAD_SETTINGS, Settings

#: Seconds that requests which are no streams get after the drain window.
GRACE = 3.0


#: uvicorn's options for streams, in one process and under gunicorn.
OPTIONS: dict[str, Any] = {
    "loop": "asyncio",
    "ws": "none",
    "lifespan": "on",
    "access_log": False,
    "log_config": None,
    "server_header": False,
}


def server_config(app: Any, settings: Settings, **options: Any) -> uvicorn.Config:
    """uvicorn's configuration for streams; `options` go to `uvicorn.Config` as they are."""
    own = {
        "host": settings.host,
        "port": settings.port,
        "forwarded_allow_ips": settings.forwarded_allow_ips,
        "timeout_keep_alive": settings.keep_alive,
        "http": protocol(settings),
    }
    return uvicorn.Config(app, **(OPTIONS | own | options))


def protocol(settings: Settings) -> Any:
    """The factory of protocols, with the limits of the settings. Call it after `prepare_process`:
    connections that wait leave half of the open files to streams.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = RequestLimits(
        settings.target_bytes,
        settings.head_bytes,
        settings.head_lines,
        settings.head_timeout,
        settings.body_timeout,
        min(settings.limit_waiting, max(1, files // 2)),
    )
    # Not at the top: under gunicorn prometheus_client must find the folder of its files at its
    # first import, and the master makes that later.
    from eddyline.telemetry import metrics

    def refused(reason: str) -> None:
        metrics.requests_refused.labels(reason).inc()

    waiting = Waiting(limits, refused, metrics.connections_waiting.set)
    return functools.partial(StreamProtocol, waiting=waiting)


def prepare_process() -> None:
    """For ten thousand streams in one process: as many open files as allowed, and rare collections.

    A full pass of the collector looks at all of them; nothing that a stream leaves behind waits for
    it, because references to each other are cut on detaching.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):  # macOS names no limit, and grants none
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


class StreamServer(uvicorn.Server):
    """A server that drains its streams before it stops, for any reason."""

    servers: list[asyncio.Server]

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until a signal; exit code 3 where the app did not start."""
        super().run(sockets)
        if not self.started:
            raise SystemExit(EXIT_BAD_SETTINGS)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with self.capture_signals():
            await self.serve_without_signals(sockets)
            # uvicorn would now kill itself by the signal that it caught; a drained stop is a
            # success: exit code 0.
            self._captured_signals.clear()

    async def serve_without_signals(self, sockets: list[socket.socket] | None = None) -> None:
        """As `serve`, but the process keeps its signal handlers: a test must stay killable."""
        await self._serve(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining = asyncio.create_task(self._drain.run())
        while not draining.done() and not self.force_exit:
            await asyncio.wait({draining}, timeout=0.25)
            if self.config.callback_notify is not None:
                # gunicorn kills a worker that is silent for `timeout` seconds, draining or not.
                await self.config.callback_notify()
        draining.cancel()
        self.config.timeout_graceful_shutdown = int(GRACE)
        await stop_accepting(self.servers)
        for server in self.servers:
            server.close()
        # uvicorn waits for its connections, unless a second Ctrl-C comes. Then it would wait for
        # its asyncio servers, which from Python 3.12 on wait for their connections in any case.
        self.servers = []
        await super().shutdown(sockets)
        if self.force_exit:
            # A second Ctrl-C. uvicorn would leave it at this: the end of the loop would cancel
            # streams and the lifespan, and each is logged as a crash.
            self._drain.notice = self._drain.window = 0.0
            await self._drain.run()
            await self.lifespan.shutdown()


async def stop_accepting(servers: Iterable[asyncio.Server]) -> None:
    """Lets connections in that were accepted a moment ago: asyncio's server, once it is closed,
    drops them (3.11).
    """
    for server in servers:
        for sock in server.sockets:
            asyncio.get_running_loop().remove_reader(sock.fileno())
    for _ in range(3):  # rounds of the loop from the acceptance to the protocol
        await asyncio.sleep(0)
