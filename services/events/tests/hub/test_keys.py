"""Keys: of publishers apart from those of subscribers, and EdDSA (RFC 8037)."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from eddyline.errors import SettingsError
from eddyline_events.app import create_app
from eddyline_events.settings import EventsSettings

OTHER = "o" * 32


def token_of(key: Any, algorithm: str = "HS256") -> str:
    claims = {
        "sub": "alice",
        "exp": time.time() + 60,
        "scope": "events:*",
        "mercure": {"publish": ["*"], "subscribe": ["*"]},
    }
    return jwt.encode(claims, key, algorithm)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_publishers_and_subscribers_have_keys_of_their_own(
    hub_of, publish, asked, mercure, key, tmp_path
):
    path = tmp_path / "publishers"
    path.write_text(OTHER)
    async with hub_of(auth_key=key, publisher_key_file=path) as hub:
        for secret, publishes in ((OTHER, True), (key, False)):
            token = token_of(secret)
            status, _ = await publish(hub, {"topic": "a"}, bearer(token))
            assert status == (201 if publishes else 401)
            answer, _ = await mercure.post(hub, ("topic", "a"), token=token)
            assert answer.status == (200 if publishes else 401)
            status, _ = await asked(hub, "/events/history", **bearer(token))
            assert status == (401 if publishes else 200)
            read = await mercure.get(hub, ("topic", "a"), token=token)
            assert read.status == (401 if publishes else 200)
            await read.close()


def test_a_publishers_key_alone_keeps_nobody_out(tmp_path) -> None:
    path = tmp_path / "publishers"
    path.write_text(OTHER)
    with pytest.raises(SettingsError, match="EVENTS_PUBLISHER_KEY_FILE"):
        create_app(EventsSettings(publisher_key_file=path))


async def test_tokens_may_be_signed_by_ed25519(hub_of, publish, tmp_path):
    private = Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(pem)
    async with hub_of(auth_key_file=path) as hub:
        for signer, status in ((private, 201), (Ed25519PrivateKey.generate(), 401)):
            token = token_of(signer, "EdDSA")
            assert (await publish(hub, {"topic": "a"}, bearer(token)))[0] == status
