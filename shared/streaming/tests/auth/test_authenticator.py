import base64
import hashlib
import hmac
import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Request
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from eddyline.auth.authenticator import MAX_TOKEN, UNRESTRICTED, Authenticator
from eddyline.errors import Forbidden, SettingsError, StreamingError, Unauthorized, Unavailable
from eddyline.service.access import authenticator_from_settings
from eddyline.service.settings import Settings
from eddyline.testing import eventually

KEY = "k" * 32
RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
STRANGER = rsa.generate_private_key(65537, 2048)


def public_pem(private: Any) -> bytes:
    return bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**changed: Any) -> dict[str, Any]:
    made = {"sub": "alice", "exp": int(time.time()) + 60, "scope": "events:subscribe", **changed}
    return {name: value for name, value in made.items() if value is not ...}


def token(key: Any = KEY, algorithm: str = "HS256", kid: str | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, {"kid": kid} if kid else None)


def by_hand(header: dict[str, Any], body: bytes, key: bytes = KEY.encode()) -> str:
    """A token that no library would make, with an HS256 signature that does verify."""
    signed = f"{b64(json.dumps(header).encode())}.{b64(body)}"
    return f"{signed}.{b64(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def request(*headers: tuple[str, str], server: Any = ("127.0.0.1", 8000)) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "method": "GET", "headers": raw, "server": server})


def bearer(text: str) -> Request:
    return request(("authorization", f"Bearer {text}"))


def secret(**more: Any) -> Authenticator:
    return authenticator_from_settings(Settings(auth_key=KEY, **more))


@pytest.fixture
def rsa_only(tmp_path: Path) -> Authenticator:
    path = tmp_path / "public.pem"
    path.write_bytes(public_pem(RSA))
    return authenticator_from_settings(Settings(auth_key_file=path))


async def refused(authenticator: Authenticator, text: str) -> str:
    """The error's text, in which no part of the token may be."""
    with pytest.raises(Unauthorized) as caught:
        await authenticator.principal(bearer(text))
    for part in re.split(r"[.\s]", text):
        assert len(part) < 8 or part not in caught.value.detail
    return caught.value.detail


# Tokens that are good.


async def test_a_token_becomes_a_principal() -> None:
    ends = int(time.time()) + 60
    principal = await secret().principal(bearer(token(exp=ends)))
    assert (principal.subject, principal.expires) == ("alice", float(ends))
    assert principal.allows("events", "subscribe", "any")
    assert not principal.allows("events", "publish", "any")
    assert {principal: 1}[principal] == 1
    assert principal.token_id is None


async def test_a_tokens_own_name_is_known() -> None:
    assert (await secret().principal(bearer(token(jti="t-1")))).token_id == "t-1"
    await refused(secret(), token(jti=7))


@pytest.mark.parametrize("private", [RSA, P256])
async def test_each_kind_of_public_key_verifies(tmp_path: Path, private: Any) -> None:
    path = tmp_path / "public.pem"
    path.write_bytes(public_pem(private))
    algorithm = "RS256" if private is RSA else "ES256"
    authenticator = authenticator_from_settings(Settings(auth_key_file=path))
    assert (await authenticator.principal(bearer(token(private, algorithm)))).subject == "alice"
    await refused(authenticator, token(STRANGER, "RS256"))


async def test_a_token_finds_its_key_in_a_set(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    one = json.loads(RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "one"}
    two = json.loads(RSAAlgorithm.to_jwk(STRANGER.public_key())) | {"kid": "two"}
    path.write_text(json.dumps({"keys": [one, two]}))
    authenticator = authenticator_from_settings(Settings(auth_jwks=str(path)))
    for kid, key in (("one", RSA), ("two", STRANGER)):
        await authenticator.principal(bearer(token(key, "RS256", kid)))
    assert "signature" in await refused(authenticator, token(RSA, "RS256", "two"))
    assert "'three'" in await refused(authenticator, token(RSA, "RS256", "three"))
    assert "kid" in await refused(authenticator, token(RSA, "RS256"))


async def test_a_key_is_exchanged_without_refusing_the_tokens_of_the_one_before() -> None:
    old, new = KEY, "n" * 32
    both = authenticator_from_settings(Settings(auth_key=new, auth_previous_key=old))
    for key in (old, new):
        assert (await both.principal(bearer(token(key)))).subject == "alice"
    assert "expired" in await refused(both, token(old, exp=1))
    assert "signature" in await refused(both, token("s" * 32))
    # The last step: the old key's tokens have ended.
    assert "signature" in await refused(
        authenticator_from_settings(Settings(auth_key=new)), token()
    )


async def test_a_previous_secret_does_not_open_another_algorithm(tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    path.write_bytes(public_pem(RSA))
    both = authenticator_from_settings(Settings(auth_key_file=path, auth_previous_key=KEY))
    await both.principal(bearer(token(RSA, "RS256")))
    await refused(both, token(STRANGER, "RS256"))


async def test_a_set_that_cannot_be_had_is_not_the_clients_fault() -> None:
    authenticator = authenticator_from_settings(Settings(auth_jwks="http://127.0.0.1:1/jwks.json"))
    with pytest.raises(Unavailable):
        await authenticator.principal(bearer(token(RSA, "RS256", "one")))


@pytest.mark.parametrize(
    ("given", "granted"),
    [
        ({"scope": "a:x b:y:z*"}, ["a:x", "b:y:z*"]),
        ({"scope": ..., "scp": ["a:x", "b:y"]}, ["a:x", "b:y"]),
        ({"scope": ..., "scp": "a:x b:y"}, ["a:x", "b:y"]),
        ({"scope": "a:x", "scp": ["b:y"]}, ["a:x"]),
        ({"scope": "openid a:x https://other/.default"}, ["a:x"]),
        ({"scope": ...}, []),
        ({"scope": ""}, []),
    ],
)
async def test_scopes_are_read_from_either_claim(given: dict[str, Any], granted: list[str]) -> None:
    principal = await secret().principal(bearer(token(**given)))
    assert [str(scope) for scope in principal.scopes] == granted


@pytest.mark.parametrize("scope", [7, {"a": "b"}, ["a:x", 7], None])
async def test_scopes_of_another_shape_are_refused(scope: Any) -> None:
    assert "scope" in await refused(secret(), token(scope=scope))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_written_in_any_case(scheme: str) -> None:
    asked = request(("authorization", f"{scheme} {token()}"))
    assert (await secret().principal(asked)).subject == "alice"


async def test_clocks_may_differ_by_seconds_for_the_beginning_only() -> None:
    now = int(time.time())
    await secret().principal(bearer(token(nbf=now + 2, iat=now + 2)))
    assert "not valid yet" in await refused(secret(), token(nbf=now + 60))
    assert "not valid yet" in await refused(secret(), token(iat=now + 60))
    assert "expired" in await refused(secret(), token(exp=now))


async def test_a_token_ends_at_its_fraction_of_a_second() -> None:
    ends = time.time() + 0.3
    asked = bearer(token(exp=ends))
    assert (await secret().principal(asked)).expires == ends
    await eventually(lambda: time.time() > ends)
    with pytest.raises(Unauthorized, match="expired"):
        await secret().principal(asked)


async def test_issuer_and_audience_are_compared() -> None:
    authenticator = secret(auth_issuer="https://idp", auth_audience="eddyline")
    await authenticator.principal(bearer(token(iss="https://idp", aud="eddyline")))
    await authenticator.principal(bearer(token(iss="https://idp", aud=["other", "eddyline"])))


# Tokens that are not.


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": ...}, "no 'exp' claim"),
        ({"exp": None}, "no 'exp' claim"),
        ({"exp": "9999999999"}, "Unix seconds"),
        ({"exp": True}, "Unix seconds"),
        ({"exp": float("inf")}, "Unix seconds"),
        ({"exp": float("nan")}, "Unix seconds"),
        ({"exp": 10**400}, "Unix seconds"),
        ({"exp": [1]}, "Unix seconds"),
        ({"sub": 7}, "not a valid JWT"),
        ({"nbf": "soon"}, "not a valid JWT"),
        ({"aud": "someone-else"}, "audience"),
    ],
)
async def test_a_claim_that_does_not_hold(changed: dict[str, Any], reason: str) -> None:
    assert reason in await refused(secret(), token(**changed))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "https://idp"}, "no 'aud' claim"),
        ({"aud": "eddyline"}, "'iss'"),
        ({"aud": "other", "iss": "https://idp"}, "another audience than 'eddyline'"),
        ({"aud": ["a", "b"], "iss": "https://idp"}, "another audience than 'eddyline'"),
        ({"aud": "eddyline", "iss": "https://idp.evil"}, "another issuer than 'https://idp'"),
        ({"aud": {"eddyline": 1}, "iss": "https://idp"}, "audience"),
    ],
)
async def test_a_token_for_another_or_by_another(changed: dict[str, Any], reason: str) -> None:
    authenticator = secret(auth_issuer="https://idp", auth_audience="eddyline")
    assert reason in await refused(authenticator, token(**changed))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 7, ["HS256"], "RS256"])
async def test_a_token_cannot_choose_how_it_is_verified(alg: Any) -> None:
    body = json.dumps(claims()).encode()
    for text in (
        by_hand({"alg": alg}, body),
        by_hand({"alg": alg}, body).rpartition(".")[0] + ".",
        by_hand({"alg": alg}, body).rpartition(".")[0],
    ):
        await refused(secret(), text)
    await refused(secret(), by_hand({}, body))


async def test_a_public_key_is_not_taken_for_a_secret(rsa_only: Authenticator) -> None:
    body = json.dumps(claims()).encode()
    for pem in (public_pem(RSA), public_pem(RSA).strip(), public_pem(RSA).replace(b"\n", b"")):
        text = by_hand({"alg": "HS256"}, body, pem)
        assert "alg is not the one" in await refused(rsa_only, text)


@pytest.mark.parametrize("header", ["jwk", "jku", "x5u", "x5c"])
async def test_a_key_that_a_token_brings_along_is_ignored(
    rsa_only: Authenticator, header: str
) -> None:
    own: Any = json.loads(RSAAlgorithm.to_jwk(STRANGER.public_key()))
    brought = own if header == "jwk" else "http://127.0.0.1:1/keys.json"
    forged = jwt.encode(claims(), STRANGER, "RS256", {header: brought})
    assert "signature does not verify" in await refused(rsa_only, forged)


async def test_a_changed_token_does_not_verify() -> None:
    head, _, signature = token().split(".")
    richer = b64(json.dumps(claims(scope="*:*")).encode())
    assert "signature" in await refused(secret(), f"{head}.{richer}.{signature}")
    assert "signature" in await refused(secret(), token("s" * 32))


@pytest.mark.parametrize(
    "header", [{"crit": ["b64"], "b64": False}, {"crit": ["x"]}, {"crit": [{}]}, {"kid": 7}]
)
async def test_a_header_that_must_be_understood_is_not_passed_over(
    header: dict[str, Any],
) -> None:
    await refused(secret(), by_hand({"alg": "HS256", **header}, json.dumps(claims()).encode()))


@pytest.mark.parametrize(
    "body",
    [b"", b"7", b"null", b"[]", b"{", b"\xff", b"[" * 5000, b'{"exp": ' + b"9" * 5000 + b"}"],
)
async def test_a_signed_body_of_another_shape(body: bytes) -> None:
    await refused(secret(), by_hand({"alg": "HS256"}, body))


@pytest.mark.parametrize("header", [b"", b"7", b"null", b"[]", b"{", b"\xff", b"[" * 5000])
async def test_a_header_of_another_shape(header: bytes) -> None:
    await refused(secret(), f"{b64(header)}.{b64(b'{}')}.{b64(b'x')}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.text(st.characters(codec="latin-1"), max_size=60)
    | st.lists(st.binary(max_size=30).map(b64), min_size=3, max_size=3).map(".".join)
    | st.tuples(
        st.dictionaries(
            st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk"]),
            st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([{}]),
        ),
        st.binary(max_size=30),
    ).map(lambda parts: by_hand(*parts))
)
@example("..")
@example(" . . ")
@example("a.b.c")
@example("a" * 5)
async def test_garbage_is_refused_and_crashes_nothing(text: str) -> None:
    with pytest.raises(Unauthorized):
        await secret().verify(text)


async def test_a_huge_token_is_not_even_looked_at() -> None:
    assert "16384 are allowed" in await refused(secret(), token(padding="x" * MAX_TOKEN))
    await secret().principal(bearer(token(padding="x" * 10_000)))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer "),),
        (("authorization", "Basic YTpi"),),
        (("authorization", token()),),
        (("authorization", f"Bearer {token()}"), ("authorization", f"Bearer {token()}")),
        (("x-authorization", f"Bearer {token()}"),),
    ],
)
async def test_one_bearer_token_is_needed(headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(Unauthorized, match=r"Bearer <JWT>"):
        await secret().principal(request(*headers))


# Whether there is authentication at all.


@pytest.mark.parametrize("mode", ["auto", "on"])
async def test_a_key_turns_it_on_even_on_loopback(mode: str) -> None:
    with pytest.raises(Unauthorized):
        await secret(auth=mode).principal(request())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"host": "0.0.0.0"}, "EDDYLINE_HOST=0.0.0.0 is open to other machines"),
        ({"host": "::"}, "EDDYLINE_HOST=:: is open"),
        ({"host": "eddyline.example"}, "EDDYLINE_HOST=eddyline.example is open"),
        ({"auth": "on"}, "EDDYLINE_AUTH=on, and there is no key"),
        ({"auth_key": "k" * 31}, "EDDYLINE_AUTH_KEY has 31 bytes"),
        ({"auth_key": ""}, "EDDYLINE_AUTH_KEY has 0 bytes"),
        ({"auth_key_file": "/no/such"}, "EDDYLINE_AUTH_KEY_FILE=/no/such: No such file"),
        ({"auth_jwks": "/no/such"}, "EDDYLINE_AUTH_JWKS=/no/such: No such file"),
        ({"auth_key": KEY, "auth_jwks": "x"}, "EDDYLINE_AUTH_KEY and EDDYLINE_AUTH_JWKS are set"),
        ({"auth_key": KEY, "auth_previous_key": "k" * 31}, "EDDYLINE_AUTH_PREVIOUS_KEY has 31"),
        ({"auth_previous_key": KEY, "auth": "on"}, "there is no key"),
        (
            {"auth_previous_key": KEY, "auth_jwks": "http://127.0.0.1:1/"},
            "EDDYLINE_AUTH_PREVIOUS_KEY and EDDYLINE_AUTH_JWKS are set",
        ),
    ],
)
def test_a_service_that_cannot_tell_friend_from_stranger_does_not_start(
    given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(reason)) as caught:
        authenticator_from_settings(Settings(**given))
    assert KEY not in caught.value.detail


@pytest.mark.parametrize("given", [{"host": "0.0.0.0"}, {"auth": "on"}])
def test_a_refusal_to_start_says_what_to_set(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        authenticator_from_settings(Settings(**given))
    for name in ("EDDYLINE_AUTH_KEY,", "EDDYLINE_AUTH_KEY_FILE", "EDDYLINE_AUTH_JWKS"):
        assert name in caught.value.detail


@pytest.mark.parametrize(
    "server",
    [("127.0.0.1", 80), ("::1", 80), ("::ffff:127.0.0.1", 80), ("/run/a.sock", None), None],
)
async def test_without_a_key_loopback_may_do_everything(server: Any) -> None:
    authenticator = authenticator_from_settings(Settings())
    assert await authenticator.principal(request(server=server)) is UNRESTRICTED


@pytest.mark.parametrize("server", [("10.0.0.5", 80), ("2001:db8::1", 80), ("::ffff:10.0.0.5", 80)])
async def test_without_a_key_another_address_is_refused(server: Any) -> None:
    # Somebody ran `uvicorn --host 0.0.0.0` by hand: the settings still say loopback.
    with pytest.raises(Forbidden, match=r"EDDYLINE_AUTH_KEY.*or EDDYLINE_AUTH=off"):
        await authenticator_from_settings(Settings()).principal(request(server=server))


@pytest.mark.parametrize("host", ["localhost:8000", "a.localhost", "127.0.0.1:80", "[::1]:8000"])
async def test_without_a_key_this_machines_names_are_served(host: str) -> None:
    await authenticator_from_settings(Settings()).principal(request(("host", host)))


@pytest.mark.parametrize("host", ["evil.example:8000", "localhost.evil.example", "10.0.0.5", "["])
async def test_without_a_key_a_rebound_name_is_refused(host: str) -> None:
    with pytest.raises(Forbidden, match="is not this machine's"):
        await authenticator_from_settings(Settings()).principal(request(("host", host)))


async def test_off_is_off_everywhere_even_with_a_key() -> None:
    given = Settings(auth="off", host="0.0.0.0", auth_key=KEY)
    asked = request(("authorization", "Bearer nonsense"), server=("10.0.0.5", 80))
    assert await authenticator_from_settings(given).principal(asked) is UNRESTRICTED


@pytest.mark.parametrize(
    ("given", "warnings"), [({}, 1), ({"auth": "off"}, 1), ({"auth_key": KEY}, 0)]
)
async def test_that_it_is_off_is_said_once(
    given: dict[str, Any], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "eddyline.auth"):
        authenticator = authenticator_from_settings(Settings(**given))
        for _ in range(3):
            try:
                await authenticator.principal(request())
            except StreamingError:
                assert warnings == 0
    assert [record.message for record in caplog.records] == [
        "authentication is off: any client that connects may do everything"
    ] * warnings


async def test_claims_need_no_expiry_and_all_else_that_a_token_needs() -> None:
    authenticator = secret()
    assert (await authenticator.claims(token(exp=..., mercure={"publish": ["*"]})))["mercure"]
    for bad in (token(exp=1), token(exp=..., key="s" * 32), token(exp=..., nbf=time.time() + 99)):
        with pytest.raises(Unauthorized):
            await authenticator.claims(bad)


async def test_claims_may_be_for_another_audience_than_the_settings() -> None:
    authenticator = secret(auth_audience="eddyline")
    assert await authenticator.claims(token(aud=["x", "hub"]), "hub")
    for other in (token(aud="eddyline"), token()):
        with pytest.raises(Unauthorized):
            await authenticator.claims(other, "hub")


async def test_claims_may_lack_what_they_are_let_lack_and_no_more() -> None:
    authenticator = secret(auth_issuer="https://idp", auth_audience="eddyline")
    both = ("iss", "aud")
    assert await authenticator.claims(token(), may_lack=both)
    assert await authenticator.claims(token(iss="https://idp", aud="eddyline"), may_lack=both)
    for changed in ({"iss": "https://other"}, {"aud": "other"}):
        with pytest.raises(Unauthorized):
            await authenticator.claims(token(**changed), may_lack=both)
    with pytest.raises(Unauthorized):
        await authenticator.claims(token(aud="eddyline"), may_lack=["aud"])
    with pytest.raises(Unauthorized):
        await authenticator.claims(token(key="s" * 32), may_lack=both)


def test_it_tells_whether_tokens_are_asked_for() -> None:
    assert secret().enabled
    assert not authenticator_from_settings(Settings(auth="off")).enabled
