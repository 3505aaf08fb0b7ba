"""The subscription API of the Mercure protocol: the documents of active subscriptions."""

from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import Request, Response

from eddyline.errors import NotFound
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.namespace import HUB_TYPE
from eddyline_events.mercure.auth.authenticator import MercureAuthenticator
from eddyline_events.mercure.auth.permissions import Revision
from eddyline_events.mercure.discovery import hub_link, last_event_id
from eddyline_events.mercure.subscriptions.subscriptions import (
    CONTEXT_0X,
    SUBSCRIPTIONS,
    Document,
    Subscriptions,
    path_of,
)

JSON_LD = "application/ld+json"
JSON = "application/json"


class Listing:
    """The endpoint of `/.well-known/mercure/subscriptions…`; `url` names the hub in links."""

    def __init__(
        self, hub: Hub, auth: MercureAuthenticator, subscriptions: Subscriptions, url: str
    ) -> None:
        self._broadcast = hub.broadcast
        self._auth = auth
        self._subscriptions = subscriptions
        self._url = url

    async def list_subscriptions(self, request: Request) -> Response:
        """Active subscriptions: all, those of one matcher, or one of them."""
        permissions = await self._auth.permissions(request)
        path = request.scope["raw_path"].decode("latin-1")
        permissions.require_subscribe(path)
        revision = permissions.revision or _asked(request)
        last = last_event_id(self._broadcast.head)
        headers = self._headers(revision, last)
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        body = await self._document(path, revision, last)
        media_type = JSON_LD if revision == "0.x" else JSON
        return Response(orjson.dumps(body), headers=headers, media_type=media_type)

    def _headers(self, revision: Revision, last: str) -> dict[str, str]:
        link = hub_link(self._url) if revision == "0.x" else hub_link(self._url, last)
        if revision == "1.0":
            link += f'; type="{HUB_TYPE}"; content-type="{JSON}"'
        return {"ETag": f'"{last}"', "Link": link, "Cache-Control": "private, must-revalidate"}

    async def _document(self, path: str, revision: Revision, last: str) -> dict[str, Any]:
        parts = _parts(path)
        found = await self._subscriptions.all(revision)
        whole = 2 if revision == "0.x" else 3
        if len(parts) == whole:
            body = next((d for d in found if d["id"] == path_of(*parts)), None)
            if body is None:
                raise NotFound("there is no such subscription: it ended, or never was")
        elif len(parts) in (0, whole - 1):
            body = _collection(path, revision, [d for d in found if _is_of(d, parts)])
        else:
            raise NotFound(f"a subscription has {whole} parts, in revision {revision}")
        return body | {"lastEventID": last} if revision == "0.x" else body


def _collection(path: str, revision: Revision, found: list[Document]) -> dict[str, Any]:
    if revision == "1.0":
        return {"id": path, "type": "subscriptions", "subscriptions": found}
    inner = [{name: v for name, v in d.items() if name != "@context"} for d in found]
    return {
        "@context": CONTEXT_0X,
        "id": path,
        "type": "Subscriptions",
        "subscriptions": inner,
    }


def _is_of(found: Document, parts: list[str]) -> bool:
    """Whether a subscription is of the matcher that `parts` name; of none: of all."""
    mine = [found["topic"]] if "topic" in found else [found["match_type"], found["match"]]
    return not parts or mine == parts


def _parts(path: str) -> list[str]:
    rest = path.removeprefix(SUBSCRIPTIONS).removeprefix("/")
    return [unquote(part) for part in rest.split("/")] if rest else []


def _asked(request: Request) -> Revision:
    """Without a token, the media type that is asked for tells the revision."""
    return "0.x" if JSON_LD in request.headers.get("accept", "") else "1.0"
