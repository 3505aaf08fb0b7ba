"""HTTP of subscriptions: `/v1/stream/__ds/…` (sections 6 and 7)."""

import re
import time
from dataclasses import replace
from typing import Any, get_args

import jwt
import orjson
from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.durable.app import check_key
from eddyline.durable.base import BadOffset
from eddyline.durable.headers import SECURITY, refusal
from eddyline.durable.offset import to_cursor
from eddyline.errors import StreamingError
from eddyline.service.app import Context
from eddyline.service.body import at_most, read_body
from eddyline.service.openapi.operation import PUBLIC
from eddyline.service.raw_route import ProtocolRoute
from eddyline_streams.http.openapi import SUBSCRIPTION
from eddyline_streams.paths import RESERVED, ROOT
from eddyline_streams.subscriptions.errors import SubscriptionError, fenced, invalid
from eddyline_streams.subscriptions.glob import readings
from eddyline_streams.subscriptions.record import Config, Kind, Subscription
from eddyline_streams.subscriptions.subscriptions import Subscriptions, streams_of
from eddyline_streams.subscriptions.webhook import check_url

#: Bytes of a request; streams that one may name; characters of an id, a pattern or a text.
MOST_BODY, MOST_STREAMS, MOST_TEXT = 256 * 1024, 1000, 1024

_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
_ID = re.compile(r"[A-Za-z0-9._~:@-]{1,128}\Z")
_OWN = f"{ROOT}{RESERVED}/"


class SubscriptionsApi:
    """The routes below `__ds/`. One for each process. `local`: webhooks may name this machine."""

    def __init__(self, context: Context, subscriptions: Subscriptions, *, local: bool) -> None:
        self._context = context
        self._subscriptions = subscriptions
        self._local = local

    def routes(self) -> APIRouter:
        routes = APIRouter()
        one = f"{_OWN}subscriptions/{{id}}"
        for method, path, endpoint in (
            ("GET", f"{_OWN}jwks.json", self.jwks),
            ("PUT", one, self.create),
            ("GET", one, self.show),
            ("DELETE", one, self.delete),
            ("POST", f"{one}/streams", self.link),
            ("DELETE", f"{one}/streams/{{path:path}}", self.unlink),
            ("POST", f"{one}/claim", self.claim),
            ("POST", f"{one}/callback", self.call_back),
            ("POST", f"{one}/ack", self.acknowledge),
            ("POST", f"{one}/release", self.release),
        ):
            extra = PUBLIC if endpoint == self.jwks else {}
            routes.add_api_route(
                path,
                _answered(endpoint),
                methods=[method],
                route_class_override=ProtocolRoute,
                openapi_extra=extra,
                **SUBSCRIPTION,
            )
        return routes

    async def jwks(self, request: Request) -> Response:
        """The public keys of webhooks."""
        headers = SECURITY | {"Cache-Control": "public, max-age=300"}
        body = orjson.dumps({"keys": [self._subscriptions.keys.jwk]})
        return Response(body, headers=headers, media_type="application/jwk-set+json")

    async def create(self, request: Request) -> Response:
        """Makes a subscription, or finds it as it is wanted."""
        caller = await self._context.authenticator.principal(request)
        id = request.path_params["id"]
        if _ID.match(id) is None:
            raise invalid(f"the id {id[:80]!r}: expected up to 128 letters, digits and ._~:@-")
        config = self._config(await _body(request))
        _require_read(caller, config)
        if config.wake_stream is not None:
            caller.require("streams", "append", config.wake_stream)
        base = str(request.url).partition(f"{RESERVED}/")[0]
        found, new = await self._subscriptions.create(Subscription(id, config, base, time.time()))
        return self._answer(found, 201 if new else 200)

    async def show(self, request: Request) -> Response:
        """A subscription, and how far its streams are acknowledged."""
        return self._answer(await self._permitted(request))

    async def delete(self, request: Request) -> Response:
        """Deletes a subscription; tokens of its wakes are worth nothing."""
        await self._subscriptions.delete((await self._permitted(request)).id)
        return _done()

    async def link(self, request: Request) -> Response:
        """Adds streams by their paths, at their end."""
        found = await self._permitted(request)
        paths = _paths((await _body(request)).get("streams"))
        caller = await self._context.authenticator.principal(request)
        for path in paths:
            caller.require("streams", "read", path)
        await self._subscriptions.link(found.id, paths)
        return _done()

    async def unlink(self, request: Request) -> Response:
        """Takes a stream out that was added by its path."""
        found = await self._permitted(request)
        await self._subscriptions.unlink(found.id, request.path_params["path"])
        return _done()

    async def claim(self, request: Request) -> Response:
        """A worker takes the work of a pull-wake subscription, until its lease ends."""
        subscription = await self._permitted(request)
        worker = (await _body(request)).get("worker")
        if not isinstance(worker, str) or not 0 < len(worker) <= MOST_TEXT:
            raise invalid(f"worker={worker!r:.80}: expected the name of a worker")
        if subscription.config.type != "pull-wake":
            raise invalid("only a subscription of type pull-wake is claimed")
        tails: dict[str, str] = {}

        async def change(old: Subscription) -> Subscription:
            tails.clear()
            tails.update(await self._subscriptions.tails(old))
            wake = old.wake
            if wake is not None and wake.holder is not None and (wake.until or 0) > time.time():
                raise SubscriptionError(
                    409,
                    "ALREADY_CLAIMED",
                    f"{wake.holder[:80]!r} is at work on it",
                    current_holder=wake.holder,
                    generation=old.generation,
                )
            if not old.pending(tails):
                raise SubscriptionError(409, "NO_PENDING_WORK", "no stream has news")
            fresh = wake is None or wake.holder is not None
            return (old.woken(tails) if fresh else old).extended(worker)

        new = await self._subscriptions.apply(subscription.id, change)
        assert new.wake is not None
        return _json(
            {
                "wake_id": new.wake.id,
                "generation": new.generation,
                "token": self._subscriptions.keys.token(new.id, new.generation, new.wake.id),
                "streams": streams_of(new, tails),
                "lease_ttl_ms": round(new.config.lease * 1000),
            }
        )

    async def acknowledge(self, request: Request) -> Response:
        """A worker says how far it is; with `done` its lease ends, without it goes on."""
        id = request.path_params["id"]
        claims, body = self._claims(request, id), await _body(request)
        acks, done = _acks(body), body.get("done") is True
        tails: dict[str, str] = {}

        async def change(old: Subscription) -> Subscription:
            _check_fence(old, claims, body)
            tails.update(await self._subscriptions.tails(old))
            for path, offset in acks.items():
                if path not in old.links or _beyond(offset, tails.get(path)):
                    text = f"{offset[:80]!r} is no offset of {path[:80]!r}"
                    raise SubscriptionError(409, "INVALID_OFFSET", text)
            new = replace(old.acked(acks), failures=0, not_before=0.0)
            assert old.wake is not None
            return replace(new, wake=None) if done else new.extended(old.wake.holder)

        new = await self._subscriptions.apply(id, change)
        return _json({"ok": True, "next_wake": done and bool(new.pending(tails))})

    async def call_back(self, request: Request) -> Response:
        """The receiver of a webhook says how far it is, as a worker does."""
        return await self.acknowledge(request)

    async def release(self, request: Request) -> Response:
        """A worker gives its lease back."""
        id = request.path_params["id"]
        claims, body = self._claims(request, id), await _body(request)

        async def change(old: Subscription) -> Subscription:
            _check_fence(old, claims, body)
            return replace(old, wake=None)

        await self._subscriptions.apply(id, change)
        return _done()

    async def _permitted(self, request: Request) -> Subscription:
        """The subscription, where the caller may read all that it tells of."""
        caller = await self._context.authenticator.principal(request)
        found = await self._subscriptions.ledger.get(request.path_params["id"])
        _require_read(caller, found.config)
        for path, link in found.links.items():
            if link.explicit:
                caller.require("streams", "read", path)
        return found

    def _claims(self, request: Request, id: str) -> dict[str, Any]:
        """The content of a wake's token. Raises SubscriptionError."""
        try:
            claims = self._subscriptions.keys.claims(_token(request))
        except jwt.InvalidTokenError:
            claims = {}
        if claims.get("sub") != id:
            raise SubscriptionError(401, "TOKEN_INVALID", "expected the token of this wake")
        return claims

    def _config(self, body: dict[str, Any]) -> Config:
        kind, pattern = _KINDS.get(str(body.get("type"))), body.get("pattern")
        if kind is None:
            raise invalid(f"type={body.get('type')!r:.80}: expected webhook or pull-wake")
        if pattern is not None:
            _check_path("pattern", pattern)
        streams = _paths(body.get("streams", []), least=0 if pattern else 1)
        lease = body.get("lease_ttl_ms", 30_000)
        if type(lease) is not int or not 1000 <= lease <= 600_000:
            raise invalid(f"lease_ttl_ms={lease!r:.80}: expected 1000 to 600000")
        description = body.get("description")
        if description is not None and not (
            isinstance(description, str) and len(description) <= MOST_TEXT
        ):
            raise invalid(f"description: expected a text of at most {MOST_TEXT} characters")
        webhook = wake_stream = None
        if kind == "webhook":
            webhook = body["webhook"].get("url") if isinstance(body.get("webhook"), dict) else None
            if not isinstance(webhook, str) or len(webhook) > 2 * MOST_TEXT:
                raise invalid("webhook.url: expected a URL")
            check_url(webhook, local=self._local)
        else:
            wake_stream = body.get("wake_stream")
            _check_path("wake_stream", wake_stream)
        return Config(
            kind, pattern, tuple(sorted(streams)), webhook, wake_stream, lease / 1000, description
        )

    def _answer(self, subscription: Subscription, status: int = 200) -> Response:
        config = subscription.config
        webhook = None
        if config.webhook is not None:
            keys = f"{subscription.base}{RESERVED}/jwks.json"
            signing = {"alg": "ed25519", "kid": self._subscriptions.keys.kid, "jwks_url": keys}
            webhook = {"url": config.webhook, "signing": signing}
        created = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(subscription.created))
        value = {
            "id": subscription.id,
            "subscription_id": subscription.id,
            "type": config.type,
            "pattern": config.pattern,
            "streams": [
                {"path": path, "link_type": link.type, "acked_offset": link.acked}
                for path, link in subscription.links.items()
            ],
            "webhook": webhook,
            "wake_stream": config.wake_stream,
            "lease_ttl_ms": round(config.lease * 1000),
            "created_at": created,
            "status": "failed" if subscription.failures else "active",
            "description": config.description,
        }
        return _json(value, status)


def _answered(endpoint: Any) -> Any:
    """The endpoint, whose refusals are answers as the protocol has them."""

    async def answered(request: Request) -> Response:
        try:
            response: Response = await endpoint(request)
            return response
        except SubscriptionError as error:
            about = {"code": error.code, "message": error.detail, **error.facts}
            answer = _json({"error": about}, error.status)
            if error.status == 401:
                answer.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 15.5.2
            return answer
        except StreamingError as error:
            return refusal(request, error)

    answered.__name__ = f"{endpoint.__name__}_subscription"
    answered.__doc__ = endpoint.__doc__
    return answered


def _require_read(caller: Principal, config: Config) -> None:
    """A subscription tells where its streams are: its owner may read all of them."""
    for text in readings(config.pattern) if config.pattern is not None else ():
        caller.require("streams", "read", text)
    for path in config.streams:
        caller.require("streams", "read", path)


def _check_fence(old: Subscription, claims: dict[str, Any], body: dict[str, Any]) -> None:
    """Whether a request is of the wake in force (section 7.3)."""
    wake = old.wake
    if wake is None or (wake.until is not None and wake.until <= time.time()):
        raise fenced()
    named = (body.get("generation"), body.get("wake_id"))
    if named != (old.generation, wake.id) or named != (claims.get("gen"), claims.get("wake")):
        raise fenced()


def _acks(body: dict[str, Any]) -> dict[str, str]:
    acks = body.get("acks", [])
    if not isinstance(acks, list) or not all(
        isinstance(ack, dict)
        and isinstance(ack.get("stream"), str)
        and isinstance(ack.get("offset"), str)
        for ack in acks
    ):
        raise invalid('acks: expected [{"stream": …, "offset": …}]')
    return {ack["stream"]: ack["offset"] for ack in acks}


def _beyond(offset: str, tail: str | None) -> bool:
    """Whether a stream has never come to an offset."""
    try:
        acked, end = to_cursor(offset), to_cursor(tail or "")
    except BadOffset:
        return True
    return acked is not None and (end is None or acked.sequence > end.sequence)


def _paths(value: Any, least: int = 1) -> list[str]:
    if not isinstance(value, list) or not least <= len(value) <= MOST_STREAMS:
        raise invalid(f"streams: expected a list of {least} to {MOST_STREAMS} paths")
    for path in value:
        _check_path("streams", path)
    return value


def _check_path(name: str, path: Any) -> None:
    if not isinstance(path, str) or len(path) > MOST_TEXT or path.startswith(f"{RESERVED}/"):
        raise invalid(f"{name}={path!r:.80}: expected the path of a stream")
    try:
        check_key(path)
    except StreamingError as error:
        raise invalid(f"{name}: {error.detail}") from None


async def _body(request: Request) -> dict[str, Any]:
    data = await read_body(request, at_most(MOST_BODY, f"expected at most {MOST_BODY} bytes"))
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise invalid(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise invalid("the body is no JSON object")
    return value


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _json(value: Any, status: int = 200) -> Response:
    headers = SECURITY | {"Cache-Control": "no-store"}
    return Response(orjson.dumps(value), status, headers, "application/json")


def _done() -> Response:
    return Response(status_code=204, headers=SECURITY)
