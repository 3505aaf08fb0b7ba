"""Tokens of the Mercure protocol: where a request carries one, and whether it is valid.

A token of revision 1.0 is an OAuth 2.0 access token (RFC 9068, `typ: at+jwt`); one of 0.x is any
JWT. Failures are those of RFC 6750.
"""

from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

import jwt
from fastapi import Request

from eddyline.auth.authenticator import Authenticator
from eddyline.auth.bearer import bearer_token
from eddyline.auth.principal import fingerprint
from eddyline.errors import BadRequest, Forbidden, Unauthorized
from eddyline_events.hub.hub import Hub
from eddyline_events.mercure.auth.permissions import Permissions
from eddyline_events.mercure.form import query_fields

COOKIE = "__Secure-mercure_access_token"
COOKIE_0X = "mercureAuthorization"

_Way = Literal["header", "query", "cookie"]


class NoToken(Unauthorized):
    """No token was presented, and one is needed."""


class BadPresentation(BadRequest):
    """A token was presented in a form that is none, or more than once."""


class MercureAuthenticator:
    """One for each hub and process; `base` is the hub's URL, `resource` the audience of tokens."""

    def __init__(self, hub: Hub, base: str) -> None:
        self._subscribers = hub.context.authenticator
        self._publishers = hub.publishers
        self._settings = hub.settings
        self._kicks = hub.kicks
        self._open = hub.namespaces.open(hub.settings.anonymous)
        self._base = base
        self.resource = hub.settings.mercure_url or hub.settings.auth_audience

    async def permissions(self, request: Request) -> Permissions:
        """The grants of the request's token.

        Where authentication is off, everything is granted. An anonymous subscriber, where one is
        let in, is granted nothing that is private. Raises Unauthorized, Forbidden, BadPresentation,
        or Unavailable.
        """
        permissions = await self._granted(request)
        self._kicks.require_not_kicked(permissions.principal)
        return permissions

    async def _granted(self, request: Request) -> Permissions:
        authenticator = self._publishers if request.method == "POST" else self._subscribers
        if not authenticator.enabled:
            await authenticator.principal(request)
            return Permissions.everything()
        token, way = _token(request)
        if token is None:
            if request.method != "POST" and self._open is not None:
                return Permissions(open=self._open)
            raise NoToken("a token is needed: Authorization: Bearer <JWT>, or the hub's cookie")
        if way == "cookie" and request.method == "POST":
            self._check_origin(request)
        # The type is read before the signature is verified: it only decides which rules hold.
        if not _is_access_token(token):
            # Revision 0.x knows neither issuers nor audiences: its tokens may name none.
            claims = await authenticator.claims(token, may_lack=("iss", "aud"))
            return _marked(Permissions.from_claim(claims, self._base), token)
        if way == "query":
            raise Unauthorized("an access token is not taken from the query (RFC 9700)")
        details = await self._access_token(authenticator, token)
        return _marked(Permissions.from_details(details, self._base), token)

    async def _access_token(self, authenticator: Authenticator, token: str) -> dict[str, Any]:
        if self.resource is None or self._settings.auth_issuer is None:
            raise Unauthorized(
                "access tokens (at+jwt) are not taken here: EVENTS_MERCURE_URL and"
                " EDDYLINE_AUTH_ISSUER must name their audience and their issuer"
            )
        claims = await authenticator.claims(token, self.resource)
        if claims.get("exp") is None:
            raise Unauthorized("the token has no 'exp' claim")
        return claims

    def _check_origin(self, request: Request) -> None:
        """Browsers send cookies with the requests of any page: it must be trusted (CSRF)."""
        source = request.headers.get("origin") or request.headers.get("referer") or ""
        parts = urlsplit(source)
        own = parts.netloc and parts.netloc == request.headers.get("host")
        if not own and f"{parts.scheme}://{parts.netloc}" not in self._settings.cors_origins:
            raise Forbidden(
                f"a page of the origin {source[:80]!r} may not publish by cookie:"
                " EDDYLINE_CORS_ORIGINS names those that may"
            )


def _marked(permissions: Permissions, token: str) -> Permissions:
    if permissions.subject is not None:
        return permissions
    return replace(permissions, fingerprint=fingerprint(token))


def _token(request: Request) -> tuple[str | None, _Way]:
    """The header beats the query, which beats the cookie."""
    token = bearer_token(request, BadPresentation)
    if token is not None:
        return token, "header"
    tokens = [value for name, value in query_fields(request) if name == "authorization"]
    if tokens:
        if len(tokens) > 1 or not tokens[0]:
            raise BadPresentation("one `authorization` parameter with a JWT is needed")
        return tokens[0], "query"
    cookies = request.cookies
    return cookies.get(COOKIE) or cookies.get(COOKIE_0X) or None, "cookie"


def _is_access_token(token: str) -> bool:
    """Whether its `typ` is `at+jwt` (RFC 7515 section 4.1.9 lets it be written in two ways)."""
    try:
        kind = jwt.get_unverified_header(token).get("typ", "")
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return str(kind).lower().removeprefix("application/") == "at+jwt"
