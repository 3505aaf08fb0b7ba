"""The rights of a request: bearer tokens (RFC 6750) become principals.

Ends of tokens during a stream are the stream's business: it reads `Principal.expires`.
"""

import ipaddress
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from eddyline.auth.base import TokenVerifier
from eddyline.auth.bearer import bearer_token
from eddyline.auth.principal import (
    ANONYMOUS,
    UNRESTRICTED,
    Principal,
    Scope,
    fingerprint,
    parse_scopes,
)
from eddyline.errors import Forbidden, Unauthorized

__all__ = ["ANONYMOUS", "UNRESTRICTED", "Authenticator", "Principal", "Scope"]

#: Characters. More than identity providers need, and small enough to be parsed for any client.
MAX_TOKEN = 16_384

#: Methods that change nothing (RFC 9110 section 9.2.1); a page of another origin reads no answer.
SAFE = ("GET", "HEAD", "OPTIONS")

#: The end of messages that say that no key is set.
HOW_TO_SET_A_KEY = "set EDDYLINE_AUTH_KEY, EDDYLINE_AUTH_KEY_FILE or EDDYLINE_AUTH_JWKS"


class Authenticator:
    """One for each process. Without a verifier authentication is off: everything is allowed.

    `loopback_only`: without a verifier, requests are answered only where they come from this
    machine and ask for it by name. `origins`: other origins whose pages may change something, where
    no token is asked for.
    """

    def __init__(
        self,
        verifier: TokenVerifier | None,
        *,
        loopback_only: bool = False,
        origins: Collection[str] = (),
    ) -> None:
        self._verifier = verifier
        self._origins = origins
        self._loopback_only = verifier is None and loopback_only

    async def principal(self, request: Request) -> Principal:
        """A FastAPI dependency; raises Unauthorized, or Unavailable while the keys can't be had."""
        if self._verifier is not None:
            token = bearer_token(request)
            if token is None:
                raise Unauthorized("a bearer token is needed: Authorization: Bearer <JWT>")
            return await self.verify(token)
        self.require_local(request)
        _refuse_foreign_page(request, self._origins)
        return UNRESTRICTED

    def require_local(self, request: Request) -> None:
        """Raises Forbidden where this machine alone may ask, and the request is another's."""
        if self._loopback_only and not _arrived_on_loopback(request):
            raise Forbidden(
                "authentication is off, which holds on the loopback address only, and this request"
                f" came in on another: {HOW_TO_SET_A_KEY}, or EDDYLINE_AUTH=off"
            )
        if self._loopback_only and not _asks_for_loopback(request):
            # To its browser, a page whose name is made to resolve to 127.0.0.1 is same-origin
            # (DNS rebinding).
            raise Forbidden(
                f"authentication is off, and the Host {request.headers.get('host', '')[:80]!r} is"
                f" not this machine's: ask for localhost or 127.0.0.1, or {HOW_TO_SET_A_KEY}"
            )

    @property
    def enabled(self) -> bool:
        """Whether tokens are asked for."""
        return self._verifier is not None

    async def verify(self, token: str) -> Principal:
        """The principal of a token; raises as `principal` does, without a part of the token."""
        if self._verifier is None:
            _check_length(token)
            return UNRESTRICTED
        claims = await self.claims(token)
        if claims.get("exp") is None:
            raise Unauthorized("the token has no 'exp' claim")
        subject = claims.get("sub")
        mark = fingerprint(token) if subject is None else None
        return Principal(subject, claims["exp"], _scopes(claims), claims.get("jti"), mark)

    async def claims(
        self, token: str, audience: str | None = None, *, may_lack: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The verifier's answer on a token (`TokenVerifier.claims`); raises Unauthorized."""
        _check_length(token)
        if self._verifier is None:
            raise Unauthorized("no token can be verified: authentication is off")
        return await self._verifier.claims(token, audience, may_lack=may_lack)


def _refuse_foreign_page(request: Request, trusted: Collection[str]) -> None:
    """Raises Forbidden where a browser asks for a page of another origin, and something may change.

    The rules are those of Go's net/http.CrossOriginProtection: browsers say for which page they ask
    by `Sec-Fetch-Site` (W3C Fetch Metadata) or `Origin` (RFC 6454), and no page can change either.
    `trusted` names origins that may, as browsers write them, or `*`.
    """
    if request.method in SAFE:
        return
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin in trusted or "*" in trusted or site in ("same-origin", "none"):
        return
    if site is None and (origin is None or urlsplit(origin).netloc == request.headers.get("host")):
        return  # no browser, or an old one
    raise Forbidden(
        f"a page of the origin {(origin or site or '')[:80]!r} may not do this while authentication"
        " is off: EDDYLINE_CORS_ORIGINS names those that may"
    )


def _arrived_on_loopback(request: Request) -> bool:
    """Whether the local end of the connection is loopback; a Unix socket, or a test's name, is."""
    server = request.scope.get("server")
    try:
        address = ipaddress.ip_address(server[0] if server else "")
    except ValueError:
        return True
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _asks_for_loopback(request: Request) -> bool:
    """Whether the Host header names loopback; HTTP/1.0 may leave it out, and no browser does."""
    host = request.headers.get("host", "localhost")
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_length(token: str) -> None:
    if len(token) > MAX_TOKEN:
        raise Unauthorized(f"the token has {len(token)} characters: {MAX_TOKEN} are allowed")


def _scopes(claims: dict[str, Any]) -> tuple[Scope, ...]:
    claim = claims.get("scope", claims.get("scp", ""))
    if isinstance(claim, list) and all(isinstance(word, str) for word in claim):
        claim = " ".join(claim)
    if not isinstance(claim, str):
        raise Unauthorized("the token's scope is neither a text nor a list of texts")
    return parse_scopes(claim)
