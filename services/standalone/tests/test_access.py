"""The token that the terminal shows is one that the suite takes."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from eddyline.service.access import authenticator_from_settings
from eddyline.service.settings import Settings
from eddyline_standalone.access import Access

KEY: Any = "k" * 32


def token_in(text: str) -> str:
    return text.rpartition("EDDYLINE_TOKEN=")[2]


async def test_a_secret_signs_one_for_everything() -> None:
    settings = Settings(auth_key=KEY, auth_issuer="https://idp", auth_audience="suite")
    token = token_in(Access(settings).text())
    principal = await authenticator_from_settings(settings).verify(token)
    assert [str(scope) for scope in principal.scopes] == ["*:*"]


async def test_a_secret_in_a_file_does_too(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("s" * 32 + "\n")
    settings = Settings(auth_key_file=path)
    token = token_in(Access(settings).text())
    assert (await authenticator_from_settings(settings).verify(token)).subject == "me"


def test_a_public_key_signs_none_and_the_text_says_how(tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert "--key-file private.pem" in Access(Settings(auth_key_file=path)).text()


@pytest.mark.parametrize(
    ("command", "carries"),
    [
        ("curl -N {url}/a", 'curl -H "Authorization: Bearer $EDDYLINE_TOKEN" -N {url}/a'),
        ("id=$(curl x)", 'id=$(curl -H "Authorization: Bearer $EDDYLINE_TOKEN" x)'),
        ("wget http://curl x/curl y", "wget http://curl x/curl y"),
    ],
)
def test_commands_carry_the_token_where_one_is_asked_for(command: str, carries: str) -> None:
    assert Access(Settings(auth_key=KEY)).command(command) == carries
    assert Access(Settings()).command(command) == command
    assert Access(Settings(auth_key=KEY, auth="off")).command(command) == command


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (Settings(), "only this machine can connect"),
        (Settings(host="0.0.0.0", auth="off"), "anyone who can connect may do everything"),
    ],
)
def test_without_a_key_it_says_who_may_connect(settings: Settings, text: str) -> None:
    assert text in Access(settings).text()
