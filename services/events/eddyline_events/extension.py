"""The seam for protocols by which clients reach a hub, beside its own API."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from fastapi import APIRouter


class Extension(Protocol):
    """One protocol; `app.EXTENSIONS` names its class, which is made from a `Hub` in each process.

    The rest of the service knows of no extension: the class and its room can be deleted.
    """

    @property
    def link(self) -> str:
        """The value of a `Link` header that names the protocol's URL (RFC 8288).

        It is read once, at the start, and comes with every stream of `GET /events`.
        """

    def routes(self) -> APIRouter:
        """All routes of the protocol. It is called once, at the start.

        No path may begin with `/events`: the hub's own API would answer first.
        """

    def run(self) -> AbstractAsyncContextManager[None]:
        """The background work of the protocol.

        It is entered before the first event is delivered, and left after the last stream ended.
        """
