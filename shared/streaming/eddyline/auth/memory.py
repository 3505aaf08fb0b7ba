"""Opaque tokens whose claims are in memory: for tests, and the shortest example of a verifier."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from eddyline.errors import Unauthorized


class MemoryVerifier:
    """A `TokenVerifier` of the tokens in `tokens`, each with its claims."""

    def __init__(self, tokens: Mapping[str, Mapping[str, Any]]) -> None:
        self._tokens = tokens

    async def claims(
        self, token: str, audience: str | None = None, *, may_lack: Sequence[str] = ()
    ) -> dict[str, Any]:
        claims = self._tokens.get(token)
        if claims is None:
            raise Unauthorized("the token is not known")
        if claims.get("exp") is not None and claims["exp"] <= time.time():
            raise Unauthorized("the token has expired")
        named = claims.get("aud")
        if audience is not None and named != audience and (named or "aud" not in may_lack):
            raise Unauthorized(f"the token is for another audience than {audience!r}")
        return dict(claims)
