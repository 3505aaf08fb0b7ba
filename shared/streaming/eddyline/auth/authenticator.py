"""Who may do what: bearer tokens (JWT, RFC 7519 and 6750) become principals.

Ends of tokens during a stream are the stream's business: it reads `Principal.expires`.
"""

import ipaddress
import logging
import re
import time
from collections.abc import Sequence
from typing import Any, Protocol

import jwt
from fastapi import Request

from eddyline.auth.jwks import Jwks
from eddyline.auth.keys import Key, key_from_file, secret_key
from eddyline.auth.principal import ANONYMOUS, UNRESTRICTED, Principal, Scope, parse_scopes
from eddyline.errors import Forbidden, SettingsError, Unauthorized
from eddyline.service.settings import Settings

__all__ = ["ANONYMOUS", "UNRESTRICTED", "Authenticator", "Principal", "Scope"]

#: Characters. Above what identity providers make, small enough to be parsed for whoever sends it.
MAX_TOKEN = 16_384

#: Seconds that clocks may differ by for `nbf` and `iat`. A token's end is exact.
LEEWAY = 5.0

_TOKEN = re.compile(r"[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\Z")
_HOW_TO_SET_A_KEY = "set EDDYLINE_AUTH_KEY, EDDYLINE_AUTH_KEY_FILE or EDDYLINE_AUTH_JWKS"

_log = logging.getLogger("eddyline.auth")


class KeySource(Protocol):
    async def find(self, kid: str | None) -> Key: ...


class OneKey:
    """A configured key: the only one, whatever a token calls it."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def find(self, kid: str | None) -> Key:
        return self._key


class Authenticator:
    """One for each process; raises SettingsError where no setting tells friend from stranger."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = None if settings.auth == "off" else _key_source(settings)
        self._loopback_only = self._keys is None and settings.auth == "auto"
        if self._keys is None:
            _log.warning("authentication is off: whoever can connect may do everything")

    async def principal(self, request: Request) -> Principal:
        """A FastAPI dependency; raises Unauthorized, or Unavailable while the keys can't be had."""
        if self._keys is not None:
            return await self.verify(_bearer(request))
        if self._loopback_only and not _arrived_on_loopback(request):
            raise Forbidden(
                "authentication is off, which holds on the loopback address only, and this request"
                f" came in on another: {_HOW_TO_SET_A_KEY}, or EDDYLINE_AUTH=off"
            )
        if self._loopback_only and not _asks_for_loopback(request):
            # To its browser, a page whose name is made to resolve to 127.0.0.1 is same-origin
            # (DNS rebinding).
            raise Forbidden(
                f"authentication is off, and the Host {request.headers.get('host', '')[:80]!r} is"
                f" not this machine's: ask for localhost or 127.0.0.1, or {_HOW_TO_SET_A_KEY}"
            )
        return UNRESTRICTED

    @property
    def enabled(self) -> bool:
        """Whether tokens are asked for."""
        return self._keys is not None

    async def verify(self, token: str) -> Principal:
        """Whom a token stands for; raises as `principal` does, in words that hold no part of it."""
        if self._keys is None:
            _check_length(token)
            return UNRESTRICTED
        claims = await self.claims(token)
        if claims.get("exp") is None:
            raise Unauthorized("the token has no 'exp' claim")
        return Principal(claims.get("sub"), claims["exp"], _scopes(claims), claims.get("jti"))

    async def claims(
        self, token: str, audience: str | None = None, *, may_lack: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The claims of a token that verifies; `exp`, where it has one, is not over.

        `audience`: whom it must be for, in place of the settings'. `may_lack`: of `iss` and `aud`
        those that must hold only where the token has them. Raises Unauthorized.
        """
        _check_length(token)
        if self._keys is None or _TOKEN.match(token) is None:
            raise Unauthorized("the bearer token is not a JWT: expected three base64url parts")
        try:
            key = await self._keys.find(jwt.get_unverified_header(token).get("kid"))
            claims = self._decode(token, key, audience or self._settings.auth_audience, may_lack)
        except jwt.PyJWTError as error:
            raise Unauthorized(self._complaint(error)) from None
        except (ValueError, TypeError):  # a signed or unsigned part of an odd shape
            raise Unauthorized("the token is not a valid JWT") from None
        if claims.get("exp") is not None:
            claims["exp"] = _expires(claims["exp"])
        return claims

    def _decode(
        self, token: str, key: Key, audience: str | None, may_lack: Sequence[str]
    ) -> dict[str, Any]:
        issuer = self._settings.auth_issuer
        if may_lack:
            has = self._verified(token, key, None, None, named=False)
            issuer = None if "iss" in may_lack and "iss" not in has else issuer
            audience = None if "aud" in may_lack and "aud" not in has else audience
        return self._verified(token, key, issuer, audience)

    def _verified(
        self, token: str, key: Key, issuer: str | None, audience: str | None, named: bool = True
    ) -> dict[str, Any]:
        return jwt.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            # Where none is configured, a token that names one is for somebody else (RFC 7519
            # section 4.1.3).
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY,
            # The end is checked in `_expires`, to the fraction of a second and without leeway.
            options={"verify_exp": False, "verify_iss": named, "verify_aud": named},
        )

    def _complaint(self, error: jwt.PyJWTError) -> str:
        match error:
            case jwt.MissingRequiredClaimError():
                return f"the token has no {error.claim!r} claim"
            case jwt.InvalidAudienceError():
                return f"the token is for another audience than {self._settings.auth_audience!r}"
            case jwt.InvalidIssuerError():
                return f"the token is by another issuer than {self._settings.auth_issuer!r}"
            case jwt.ImmatureSignatureError():
                return "the token is not valid yet (nbf or iat lies in the future)"
            case jwt.InvalidAlgorithmError():
                return "the token's alg is not the one that its key is for"
            case jwt.InvalidSignatureError():
                return "the token's signature does not verify"
        return "the token is not a valid JWT"


def _key_source(settings: Settings) -> KeySource | None:
    """None: nothing is configured, and nobody but this machine can connect."""
    configured = [
        name
        for name in ("auth_key", "auth_key_file", "auth_jwks")
        if getattr(settings, name) is not None
    ]
    if len(configured) > 1:
        raise SettingsError(
            f"{' and '.join(f'EDDYLINE_{name.upper()}' for name in configured)} are set: leave one"
        )
    if settings.auth_key is not None:
        secret = settings.auth_key.get_secret_value().encode()
        return OneKey(secret_key(secret, "EDDYLINE_AUTH_KEY"))
    if settings.auth_key_file is not None:
        path = settings.auth_key_file
        return OneKey(key_from_file(path, f"EDDYLINE_AUTH_KEY_FILE={path}"))
    if settings.auth_jwks is not None:
        return Jwks(settings.auth_jwks)
    if settings.auth == "on":
        raise SettingsError(f"EDDYLINE_AUTH=on, and there is no key: {_HOW_TO_SET_A_KEY}")
    if not settings.on_loopback:
        raise SettingsError(
            f"EDDYLINE_HOST={settings.host} is open to other machines, and there is no key:"
            f" {_HOW_TO_SET_A_KEY}; or EDDYLINE_AUTH=off, if whoever connects may do everything"
        )
    return None


def _bearer(request: Request) -> str:
    headers = request.headers.getlist("authorization")
    if not headers:
        raise Unauthorized("a bearer token is needed: Authorization: Bearer <JWT>")
    # Two of them: which one counts would depend on who reads, a proxy or we.
    scheme, _, token = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("one Authorization header of the form `Bearer <JWT>` is needed")
    return token.strip()


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


def _expires(claim: Any) -> float:
    if type(claim) not in (int, float) or not 0 <= claim < 1e12:
        raise Unauthorized("the token's exp is not a time in Unix seconds")
    if claim <= time.time():
        raise Unauthorized("the token has expired")
    return float(claim)


def _scopes(claims: dict[str, Any]) -> tuple[Scope, ...]:
    claim = claims.get("scope", claims.get("scp", ""))
    if isinstance(claim, list) and all(isinstance(word, str) for word in claim):
        claim = " ".join(claim)
    if not isinstance(claim, str):
        raise Unauthorized("the token's scope is neither a text nor a list of texts")
    return parse_scopes(claim)
