"""The contract of a token verifier, as tests that want two fixtures: `verifier`, and `issue`, which
makes a token of claims that the verifier accepts. A test module imports all of it.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from eddyline.auth.base import TokenVerifier
from eddyline.errors import Unauthorized

Issue = Callable[[dict[str, Any]], str]


async def refused(token: str, asked: Awaitable[Any]) -> None:
    with pytest.raises(Unauthorized) as caught:
        await asked
    assert not token or token not in caught.value.detail


async def test_a_good_token_has_its_claims(verifier: TokenVerifier, issue: Issue) -> None:
    expires = int(time.time()) + 60
    token = issue({"sub": "ann", "scope": "events:read", "exp": expires, "jti": "1"})
    claims = await verifier.claims(token)
    assert (claims["sub"], claims["scope"], claims["jti"]) == ("ann", "events:read", "1")
    assert claims["exp"] == expires


async def test_an_expired_token_is_refused(verifier: TokenVerifier, issue: Issue) -> None:
    token = issue({"sub": "ann", "scope": "", "exp": int(time.time()) - 1})
    await refused(token, verifier.claims(token))


async def test_a_token_that_nobody_issued_is_refused(verifier: TokenVerifier, issue: Issue) -> None:
    token = issue({"sub": "ann", "scope": "", "exp": int(time.time()) + 60})
    middle = len(token) // 2
    changed = token[:middle] + ("a" if token[middle] != "a" else "b") + token[middle + 1 :]
    for other in ("", "nonsense", "a.b.c", "\0", token + "a", token[:-5], changed):
        await refused(other, verifier.claims(other))


async def test_a_token_for_another_party_is_refused(verifier: TokenVerifier, issue: Issue) -> None:
    claims = {"sub": "ann", "scope": "", "exp": int(time.time()) + 60}
    for_hub, for_nobody = issue({**claims, "aud": "hub"}), issue(claims)
    assert (await verifier.claims(for_hub, "hub"))["sub"] == "ann"
    assert (await verifier.claims(for_nobody, "hub", may_lack=["aud"]))["sub"] == "ann"
    await refused(for_hub, verifier.claims(for_hub, "other"))
    await refused(for_hub, verifier.claims(for_hub, "other", may_lack=["aud"]))
    await refused(for_nobody, verifier.claims(for_nobody, "hub"))
