"""The open connections to upstreams, counted at their sockets, so that a leak shows."""

from typing import Any

import httpcore

from eddyline.telemetry.metrics import upstream_connections


class Connections:
    """Counts the connections that httpcore makes; idle ones are open, too."""

    def __init__(self) -> None:
        self._gauge = upstream_connections.labels("chat")
        self._open: dict[int, Any] = {}

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """For the request extension `trace` of httpcore, which calls it at each step."""
        if event == "connection.connect_tcp.complete":
            stream: httpcore.AsyncNetworkStream = info["return_value"]
            socket = stream.get_extra_info("socket")
            self._open[id(socket)] = socket
            self.measure()

    def measure(self) -> int:
        """Sets the gauge; the number of connections."""
        # The descriptor of a closed socket is -1.
        self._open = {key: s for key, s in self._open.items() if s.fileno() != -1}
        self._gauge.set(len(self._open))
        return len(self._open)
