"""HTTP of links: making one, revoking it, and reading by it."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import time
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from eddyline.auth.principal import Principal, Scope
from eddyline.errors import BadRequest, NotFound
from eddyline.service.access import Caller
from eddyline.service.openapi.operation import problems
from eddyline.service.raw_route import RawRoute
from eddyline_downloads.http import openapi
from eddyline_downloads.links.link import LONGEST, Link, LinkKeys
from eddyline_downloads.links.uses import Uses
from eddyline_downloads.stores.base import Store, checked

Send = Callable[[Request, str, Literal["attachment", "inline"], Principal], Awaitable[Response]]


class NewLink(BaseModel):
    """A file by `path`, or all files of the folder `prefix`, which ends in a slash.

    `seconds`: the life of the link. `downloads`: the number of answers that it is good for.
    """

    model_config = ConfigDict(extra="forbid")

    path: str | None = None
    prefix: str | None = None
    seconds: int = Field(3600, ge=1, le=LONGEST)
    disposition: Literal["attachment", "inline"] = "attachment"
    downloads: int | None = Field(None, ge=1, le=1000)


class MadeLink(TypedDict):
    """`expires` is in ISO 8601; a download that began before it may end."""

    id: str
    url: str
    expires: str


class LinksApi:
    """`send` answers a request for a path of the store, by the rights of a principal."""

    def __init__(self, keys: LinkKeys | None, uses: Uses, store: Store, send: Send) -> None:
        self._keys = keys
        self._uses = uses
        self._store = store
        self._send = send

    def routes(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route(
            "/download-links",
            self.make_link,
            methods=["POST"],
            status_code=201,
            responses=problems(BadRequest, NotFound),
        )
        routes.add_api_route(
            "/download-links/{id}",
            self.revoke_link,
            methods=["DELETE"],
            status_code=204,
            response_class=Response,
            responses=problems(BadRequest),
        )
        for methods in (["GET"], ["HEAD"]):
            routes.add_api_route(
                "/links/{link}/{path:file}",
                self.read_by_link,
                methods=methods,
                response_class=Response,
                responses=openapi.FILE,
                openapi_extra=openapi.LINKED,
                include_in_schema=methods == ["GET"],
                route_class_override=RawRoute,
            )
        return routes

    async def make_link(self, request: Request, caller: Caller, link: NewLink) -> MadeLink:
        """A URL that reads without a token. Its maker needs `downloads:share` and
        `downloads:read` for the file, or for all of the folder.
        """
        keys = self._required_keys()
        path = await self._path(link)
        for action in ("share", "read"):
            # A pattern that matches the star matches everything that could stand in its place.
            caller.require("downloads", action, path + "*" if path.endswith("/") else path)
        if link.downloads is not None:
            self._uses.require("a number of downloads")
        expires = int(time()) + link.seconds
        made = Link(secrets.token_hex(8), path, expires, link.disposition, link.downloads)
        name = "" if made.is_folder else quote(path.rpartition("/")[2])
        return {
            "id": made.id,
            "url": f"{request.base_url}links/{keys.sign(made)}/{name}",
            "expires": datetime.fromtimestamp(expires, UTC).isoformat(),
        }

    async def revoke_link(
        self, caller: Caller, id: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
    ) -> Response:
        """Ends a link, of any maker; downloads that have begun may end."""
        self._required_keys()
        caller.require("downloads", "share")
        await self._uses.revoke(id)
        return Response(status_code=204)

    async def read_by_link(self, request: Request) -> Response:
        """The file, or the folder, by a link."""
        text, asked = request.path_params["link"], request.path_params["path"]
        # The link is a secret, and each request's path is logged.
        request.scope["path"] = f"/links/.../{asked}"
        link = self._required_keys().verified(text)
        path = link.file(asked)
        await self._uses.check(link, counts=request.method == "GET")
        rights = (Scope("downloads", "read"),)
        reader = Principal(f"link:{link.id}", None, rights)
        response = await self._send(request, path, link.kind, reader)
        # No page that it leads to is told the link, and no search engine keeps it.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex"
        response.headers["Cache-Control"] = "private, no-cache"
        return response

    def _required_keys(self) -> LinkKeys:
        if self._keys is None:
            raise NotFound("there are no links: DOWNLOADS_LINK_KEYS is not set")
        return self._keys

    async def _path(self, link: NewLink) -> str:
        """The path of the store, which is there; raises BadRequest, NotFound."""
        if (link.path is None) == (link.prefix is None):
            raise BadRequest("expected one of path, a file, and prefix, a folder")
        if link.path is not None:
            (await self._store.open(checked(link.path))).close()
            return link.path
        prefix = link.prefix or ""
        if not prefix.endswith("/"):
            raise BadRequest(f"prefix {prefix[:200]!r}: expected a folder, with a slash at its end")
        return checked(prefix[:-1]) + "/"
