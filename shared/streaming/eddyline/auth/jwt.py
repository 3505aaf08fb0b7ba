"""JSON Web Tokens (RFC 7519), verified by the keys that are configured."""

import re
import time
from collections.abc import Sequence
from typing import Any, Protocol

import jwt

from eddyline.auth.keys import Key
from eddyline.errors import Unauthorized

#: Seconds that clocks may differ by for `nbf` and `iat`. A token's end is exact.
LEEWAY = 5.0

#: The kinds of tokens that grant access: plain ones, and access tokens (RFC 9068).
TYPES = ("jwt", "at+jwt")

_TOKEN = re.compile(r"[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\Z")


class KeySource(Protocol):
    async def find(self, kid: str | None) -> Key: ...


class OneKey:
    """A configured key: the only one, under any name that a token gives it."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def find(self, kid: str | None) -> Key:
        return self._key


class JwtVerifier:
    """A `TokenVerifier`. `issuer` and `audience`: the only ones that are accepted, where given.

    `previous`: the key before those of `keys`, whose tokens are accepted while they live.
    """

    def __init__(
        self,
        keys: KeySource,
        issuer: str | None = None,
        audience: str | None = None,
        previous: Key | None = None,
    ) -> None:
        self._keys = keys
        self._previous = previous
        self._issuer = issuer
        self._audience = audience

    async def claims(
        self, token: str, audience: str | None = None, *, may_lack: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The claims of a token that verifies; `exp`, where it has one, is not over."""
        if _TOKEN.match(token) is None:
            raise Unauthorized("the bearer token is not a JWT: expected three base64url parts")
        try:
            header = jwt.get_unverified_header(token)
            _check_type(header.get("typ", "JWT"))
            key = await self._keys.find(header.get("kid"))
            claims = self._claims_of_either(token, key, audience or self._audience, may_lack)
        except jwt.PyJWTError as error:
            raise Unauthorized(self._complaint(error)) from None
        except (ValueError, TypeError):  # a signed or unsigned part of an odd shape
            raise Unauthorized("the token is not a valid JWT") from None
        if claims.get("exp") is not None:
            claims["exp"] = _expires(claims["exp"])
        return claims

    def _claims_of_either(
        self, token: str, key: Key, audience: str | None, may_lack: Sequence[str]
    ) -> dict[str, Any]:
        try:
            return self._decode(token, key, audience, may_lack)
        except jwt.InvalidSignatureError:
            if self._previous is None:
                raise
            return self._decode(token, self._previous, audience, may_lack)

    def _decode(
        self, token: str, key: Key, audience: str | None, may_lack: Sequence[str]
    ) -> dict[str, Any]:
        issuer = self._issuer
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
                return f"the token is for another audience than {self._audience!r}"
            case jwt.InvalidIssuerError():
                return f"the token is by another issuer than {self._issuer!r}"
            case jwt.ImmatureSignatureError():
                return "the token is not valid yet (nbf or iat lies in the future)"
            case jwt.InvalidAlgorithmError():
                return "the token's alg is not the one that its key is for"
            case jwt.InvalidSignatureError():
                return "the token's signature does not verify"
        return "the token is not a valid JWT"


def _check_type(typ: object) -> None:
    """Tokens of other kinds are signed by the same key, and grant nothing (RFC 8725 section 3.11).

    The media type may be written without `application/`, in any case (RFC 7515 section 4.1.9).
    """
    if str(typ).lower().removeprefix("application/") not in TYPES:
        raise Unauthorized(f"the token's typ is {str(typ)[:80]!r}: expected JWT or at+jwt")


def _expires(claim: Any) -> float:
    if type(claim) not in (int, float) or not 0 <= claim < 1e12:
        raise Unauthorized("the token's exp is not a time in Unix seconds")
    if claim <= time.time():
        raise Unauthorized("the token has expired")
    return float(claim)
