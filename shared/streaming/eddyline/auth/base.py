"""The seam for other kinds of tokens: a way from a token to its claims."""

from collections.abc import Sequence
from typing import Any, Protocol


class TokenVerifier(Protocol):
    """Tells the claims of a token: a JWT's own (`jwt.py`), or those that a server keeps for an
    opaque one (RFC 7662).
    """

    async def claims(
        self, token: str, audience: str | None = None, *, may_lack: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The claims of a token that is good now (RFC 7519 section 4.1, RFC 8693 section 4.2).

        Called for each request, with at most `authenticator.MAX_TOKEN` characters. `exp`, where it
        is among them, is a number that lies in the future. `audience`: the party that the token
        must be for, in place of the verifier's own. `may_lack`: of `iss` and `aud` those that must
        hold only where the token has them.

        Raises Unauthorized, in words that hold no part of the token, or Unavailable while the
        answer can't be had.
        """
