"""Keys of publishers: whose they are, and how they are written."""

import pytest
from fastapi import Request

from eddyline.auth.principal import Principal
from eddyline.errors import BadRequest
from eddyline_events.hub.publishing.idempotency import key_of

ALICE, BOB = Principal("alice", None, ()), Principal("bob", None, ())


def request(*keys: str) -> Request:
    headers = [(b"idempotency-key", key.encode("latin-1")) for key in keys]
    return Request({"type": "http", "headers": headers})


def test_without_the_header_there_is_no_key() -> None:
    assert key_of(request(), ALICE) is None


def test_quoted_and_bare_are_one_key_and_of_one_principal() -> None:
    assert key_of(request('"a-1"'), ALICE) == key_of(request("a-1"), ALICE)
    assert key_of(request("a-1"), ALICE) != key_of(request("a-2"), ALICE)
    assert key_of(request("a-1"), ALICE) != key_of(request("a-1"), BOB)
    assert "a-1" not in str(key_of(request("a-1"), ALICE))


@pytest.mark.parametrize("keys", [("",), ('""',), ('"a',), ("a b",), ("x" * 256,), ("a", "b")])
def test_what_is_no_key_is_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="Idempotency-Key"):
        key_of(request(*keys), ALICE)
