"""The verifiers of the library keep the contract."""

import secrets
from typing import Any

import jwt
import pytest

from eddyline.auth.base import TokenVerifier
from eddyline.auth.jwt import JwtVerifier, OneKey
from eddyline.auth.keys import secret_key
from eddyline.auth.memory import MemoryVerifier
from eddyline.testing.verifier_contract import *  # noqa: F403
from eddyline.testing.verifier_contract import Issue

KEY = "k" * 32


@pytest.fixture(params=["jwt", "memory"])
def pair(request: pytest.FixtureRequest) -> tuple[TokenVerifier, Issue]:
    if request.param == "jwt":
        key = secret_key(KEY.encode(), "the test's key")
        return JwtVerifier(OneKey(key)), lambda claims: jwt.encode(claims, KEY, "HS256")
    tokens: dict[str, Any] = {}

    def issue(claims: dict[str, Any]) -> str:
        token = secrets.token_urlsafe()
        tokens[token] = claims
        return token

    return MemoryVerifier(tokens), issue


@pytest.fixture
def verifier(pair: tuple[TokenVerifier, Issue]) -> TokenVerifier:
    return pair[0]


@pytest.fixture
def issue(pair: tuple[TokenVerifier, Issue]) -> Issue:
    return pair[1]
