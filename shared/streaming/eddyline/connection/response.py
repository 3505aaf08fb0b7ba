"""The response whose body is written by the owner of its connection."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eddyline.connection.asgi import AsgiConnection
from eddyline.connection.base import EXTENSION, Connection, ResponseTransport


class StreamResponse(Response):
    """A response whose body is written by the owner of its connection: `open` hands it over.

    `open` is called once, after the head is sent. `abandon` is called where there is no body: for
    HEAD, and after a send or an `open` that failed. A background task runs at the end of the body,
    or at once where `open` has taken the connection from the server.
    """

    def __init__(
        self,
        open: Callable[[Connection], None],
        abandon: Callable[[], None],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.open = open
        self.abandon = abandon
        self.status_code = 200
        self.media_type = media_type
        self.background: BackgroundTask | None = None
        # No `self.body`: Starlette would take its length for the Content-Length.
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: ResponseTransport | None = scope.get("extensions", {}).get(EXTENSION)
        if transport is not None and (scope["method"] == "HEAD" or not transport.detachable):
            transport = None
        headers = list(self.raw_headers)
        if transport is not None:
            # The transport is not handed back: the client must not send another request on it.
            headers.append((b"connection", b"close"))
        opened = False
        try:
            with nullcontext() if transport is None else transport.corked():
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                if transport is not None and (connection := transport.detach()) is not None:
                    opened = True
                    self._hand_over(connection)
            if opened or scope["method"] == "HEAD":
                # The server has no part in a body that has detached. Middleware has, such as a
                # tracer: to it an answer without an end is one that failed.
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                opened = True
                attached = AsgiConnection()
                self._hand_over(attached)
                await attached.run(receive, send)
        finally:
            if not opened:
                self.abandon()
        if self.background is not None:
            await self.background()

    def _hand_over(self, connection: Connection) -> None:
        try:
            self.open(connection)
        except BaseException:
            # Nobody owns the connection: its client would wait for ever.
            connection.abort()
            self.abandon()
            raise
