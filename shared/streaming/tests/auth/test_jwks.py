import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from eddyline.auth import jwks
from eddyline.auth.jwks import Jwks, parse
from eddyline.errors import SettingsError, Unauthorized, Unavailable
from eddyline.testing import eventually, serving

RSA = rsa.generate_private_key(65537, 2048).public_key()
P256 = ec.generate_private_key(ec.SECP256R1()).public_key()


def item(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else ECAlgorithm
    made = kind.to_jwk(key, as_dict=True) | ({"kid": kid} if kid else {}) | more
    return {name: value for name, value in made.items() if name != "key_ops"}


def document(*items: dict[str, Any]) -> bytes:
    return json.dumps({"keys": items}).encode()


class Issuer:
    """An HTTP server that gives out a JWK set, and counts how often it is asked."""

    def __init__(self) -> None:
        self.body = document(item(RSA, "one"))
        self.status = 200
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await self.open.wait()
            head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + self.body)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    async with serving(made.answer) as port:
        made.url = f"http://127.0.0.1:{port}/jwks.json"
        yield made


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(jwks, "monotonic", lambda: now[0])

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    return pass_time


async def test_a_set_is_fetched_once_and_kept(issuer: Issuer) -> None:
    keys = Jwks(issuer.url)
    assert issuer.asked == 0
    assert (await keys.find("one")).algorithm == "RS256"
    assert (await keys.find("one")).id == "one"
    assert issuer.asked == 1


async def test_a_new_key_is_found_and_the_old_one_gone(
    issuer: Issuer, pass_time: Callable[[float], None]
) -> None:
    keys = Jwks(issuer.url)
    await keys.find("one")
    issuer.body = document(item(P256, "two"))
    pass_time(jwks.SPACING)
    assert (await keys.find("two")).algorithm == "ES256"
    with pytest.raises(Unauthorized, match="'one'"):
        await keys.find("one")
    assert issuer.asked == 2


async def test_made_up_keys_do_not_flood_the_issuer(
    issuer: Issuer, pass_time: Callable[[float], None]
) -> None:
    keys = Jwks(issuer.url)
    for number in range(50):
        with pytest.raises(Unauthorized, match=f"'stranger {number}', which is not trusted"):
            await keys.find(f"stranger {number}")
    assert issuer.asked == 1
    pass_time(jwks.SPACING)
    for _ in range(5):
        with pytest.raises(Unauthorized):
            await keys.find("stranger")
    assert issuer.asked == 2


async def test_requests_at_one_time_share_one_fetch(issuer: Issuer) -> None:
    keys = Jwks(issuer.url)
    issuer.open.clear()
    waiting = [asyncio.create_task(keys.find("one")) for _ in range(20)]
    await eventually(lambda: issuer.asked == 1)
    # The request that began the fetch goes away: that must not end it for the others.
    waiting[0].cancel()
    issuer.open.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [getattr(key, "id", key) for key in found[1:]] == ["one"] * 19
    assert issuer.asked == 1


async def test_a_withdrawn_key_is_trusted_for_minutes_only(
    issuer: Issuer, pass_time: Callable[[float], None]
) -> None:
    keys = Jwks(issuer.url)
    await keys.find("one")
    issuer.body = document(item(P256, "two"))
    pass_time(jwks.MAX_AGE - 1)
    await keys.find("one")
    pass_time(2)
    with pytest.raises(Unauthorized):
        await keys.find("one")


async def test_an_issuer_that_is_away_from_the_start_is_our_fault_and_found_again(
    pass_time: Callable[[float], None],
) -> None:
    made = Issuer()
    async with serving(made.answer) as port:
        pass
    keys = Jwks(f"http://127.0.0.1:{port}/jwks.json")
    with pytest.raises(Unavailable) as caught:
        await keys.find("one")
    assert caught.value.retry_after >= 1
    assert str(port) not in caught.value.detail
    async with serving(made.answer, port):
        pass_time(jwks.SPACING_WITHOUT_KEYS)
        assert (await keys.find("one")).id == "one"


@pytest.mark.parametrize("fault", ["500", "garbage", "no keys", "gone"])
async def test_known_keys_outlive_an_outage(
    issuer: Issuer, pass_time: Callable[[float], None], fault: str
) -> None:
    keys = Jwks(issuer.url)
    await keys.find("one")
    issuer.status = 500 if fault == "500" else 200
    issuer.body = {"garbage": b"<html>", "no keys": b'{"keys": []}'}.get(fault, issuer.body)
    if fault == "gone":
        keys._url = "http://127.0.0.1:1/"
    pass_time(jwks.MAX_AGE + 1)
    assert (await keys.find("one")).id == "one"
    # A key that nobody here knows may be a new one: finding that out is for us.
    with pytest.raises(Unavailable):
        await keys.find("two")
    issuer.status, issuer.body, keys._url = 200, document(item(RSA, "one")), issuer.url
    pass_time(jwks.SPACING)
    with pytest.raises(Unauthorized):
        await keys.find("two")


async def test_an_issuer_that_never_answers_is_given_up(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.05)
    issuer.open.clear()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(Jwks(issuer.url).find("one"), 20)
    issuer.open.set()


async def test_a_file_is_read_again_for_a_new_key(
    tmp_path: Path, pass_time: Callable[[float], None]
) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document(item(RSA, "one")))
    keys = Jwks(str(path))
    assert (await keys.find("one")).id == "one"
    path.write_bytes(document(item(P256, "two")))
    assert (await keys.find("two")).id == "two"
    os.unlink(path)
    pass_time(jwks.SPACING)
    with pytest.raises(Unavailable):
        await keys.find("three")
    assert (await keys.find("two")).id == "two"


async def test_a_token_need_not_name_the_only_key(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document(item(RSA, "one")))
    assert (await Jwks(str(path)).find(None)).id == "one"
    path.write_bytes(document(item(RSA, "one"), item(P256, "two")))
    with pytest.raises(Unauthorized, match="needs a kid"):
        await Jwks(str(path)).find(None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a JWK set"),
        (b"[]", "not a JWK set"),
        (b'{"keys": 7}', "holds no RS256, ES256 or EdDSA"),
        (b'{"keys": [7, null, {}]}', "holds no RS256, ES256 or EdDSA"),
        (b"\xff\xfe", "not a JWK set"),
    ],
)
def test_a_bad_file_is_refused_at_the_start(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"EDDYLINE_AUTH_JWKS={path}: .*{reason}"):
        Jwks(str(path))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="EDDYLINE_AUTH_JWKS=/no/such: No such file"):
        Jwks("/no/such")


@pytest.mark.parametrize(
    "unusable",
    [
        {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "x"},
        {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "x", "alg": "HS256"},
        item(RSA, "x", use="enc"),
        item(RSA, "x", alg="RS512"),
        item(RSA, "x", alg="HS256"),
        item(RSA, "x", alg="none"),
        item(RSA, "x", alg=["RS256"]),
        item(P256, "x", crv="P-384"),
        item(P256, "x", x=7),
        item(RSA, "x", n=None),
        item(RSA, "x", kty={}),
        item(rsa.generate_private_key(65537, 1024).public_key(), "x"),
        item(ec.generate_private_key(ec.SECP384R1()).public_key(), "x"),
    ],
)
def test_what_cannot_verify_safely_is_passed_over(unusable: dict[str, Any]) -> None:
    assert [key.id for key in parse(document(unusable, item(RSA, "good")))] == ["good"]


def test_a_private_key_in_a_set_is_passed_over() -> None:
    private = rsa.generate_private_key(65537, 2048)
    leaked = json.loads(RSAAlgorithm.to_jwk(private)) | {"kid": "x"}
    del leaked["key_ops"]
    assert isinstance(jwt.PyJWK(leaked).key, rsa.RSAPrivateKey)
    with pytest.raises(ValueError, match="no RS256"):
        parse(document(leaked))
