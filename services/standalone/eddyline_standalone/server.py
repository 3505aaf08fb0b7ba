"""The laptop's server: says its address once it listens, and gives advice where it can't listen."""

import errno
import socket
from collections.abc import Callable

from fastapi import FastAPI

from eddyline.errors import SettingsError
from eddyline.server.server import StreamServer, server_config
from eddyline.service.settings import Settings


class LaptopServer(StreamServer):
    """`text` is said by `say` as soon as the server takes requests."""

    def __init__(self, app: FastAPI, text: str, say: Callable[[str], None]) -> None:
        context = app.state.context
        super().__init__(server_config(app, context.settings), context.drain)
        self._text = text
        self._say = say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say(self._text)


def listen(settings: Settings) -> socket.socket:
    """A listening socket; raises SettingsError where the address can't be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        where = f"{settings.host} port {settings.port}"
        if error.errno == errno.EADDRINUSE:
            advice = f"in use, by another `make run`? Try `make run PORT={settings.port + 1}`"
        elif error.errno == errno.EACCES:
            advice = "not allowed: ports below 1024 need root. Try `make run PORT=8000`"
        else:
            advice = f"no address of this machine ({error.strerror}). Try `make run HOST=127.0.0.1`"
        raise SettingsError(f"{where} is {advice}") from None


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
