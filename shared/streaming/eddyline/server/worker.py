"""The gunicorn worker: a `StreamServer` in each worker process."""

import asyncio
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import uvicorn
from gunicorn.arbiter import Arbiter

from eddyline.server.server import OPTIONS, StreamServer, prepare_process, protocol

#: Seconds between signs of life to gunicorn's master, and looks for one of it.
NOTIFY = 5


if TYPE_CHECKING:

    class UvicornWorker:
        """The attributes that are relied on: the package has no types."""

        CONFIG_KWARGS: ClassVar[dict[str, Any]]
        config: uvicorn.Config
        wsgi: Any
        sockets: list[socket.socket]
        ppid: int

        def notify(self) -> None: ...

else:
    from uvicorn_worker import UvicornWorker


class StreamWorker(UvicornWorker):
    """uvicorn's worker, whose server drains on SIGTERM, SIGINT, SIGQUIT, HUP and `max_requests`
    alike.
    """

    CONFIG_KWARGS = OPTIONS | {"timeout_notify": NOTIFY}

    _server: StreamServer | None = None

    async def _serve(self) -> None:
        prepare_process()
        context = self.wsgi.state.context
        self.config.app = self.wsgi
        self.config.http = protocol(context.settings)
        server = self._server = StreamServer(self.config, context.drain)
        # gunicorn's master turns SIGINT into SIGQUIT, which uvicorn does not know.
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGQUIT, server.handle_exit, signal.SIGINT, None
        )
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def callback_notify(self) -> None:
        self.notify()
        if self._server is not None and self.ppid != os.getppid():
            # The master was killed: nobody would ever stop or replace this worker.
            self._server.should_exit = True
