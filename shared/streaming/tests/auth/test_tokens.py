import os
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from eddyline.auth.tokens import main
from eddyline.service.access import authenticator_from_settings
from eddyline.service.settings import Settings

KEY = "k" * 32
ALICE = ["--subject", "alice", "--scope", "events:subscribe"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ISSUER", "AUDIENCE", "KEY_FILE"):
        monkeypatch.delenv(f"EDDYLINE_AUTH_{name}", raising=False)
    monkeypatch.setenv("EDDYLINE_AUTH_KEY", KEY)


def minted(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(arguments)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    return captured.out.strip()


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    captured = capsys.readouterr()
    assert (caught.value.code, captured.out) == (2, "")
    assert KEY not in captured.err
    return captured.err


def private_pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


async def test_a_service_with_the_same_environment_takes_the_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDDYLINE_AUTH_ISSUER", "https://idp")
    monkeypatch.setenv("EDDYLINE_AUTH_AUDIENCE", "eddyline")
    token = minted(capsys, *ALICE, "--scope", "logs:read:app/* chat:complete")
    principal = await authenticator_from_settings(Settings.read()).verify(token)
    assert principal.subject == "alice"
    assert [str(s) for s in principal.scopes] == [
        "chat:complete",
        "events:subscribe",
        "logs:read:app/*",
    ]


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())]
)
async def test_a_private_key_signs_for_whoever_has_the_public_one(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(private_pem(key))
    public.write_bytes(public_pem(key))
    token = minted(capsys, *ALICE, "--key-file", str(private), "--kid", "k1")
    assert jwt.get_unverified_header(token)["kid"] == "k1"
    authenticator = authenticator_from_settings(Settings(auth_key=None, auth_key_file=public))
    assert (await authenticator.verify(token)).subject == "alice"


async def test_without_arguments_it_may_do_everything_for_an_hour(
    capsys: pytest.CaptureFixture[str],
) -> None:
    token = minted(capsys)
    principal = await authenticator_from_settings(Settings.read()).verify(token)
    assert principal.subject == "me"
    assert [str(scope) for scope in principal.scopes] == ["*:*"]
    claims = jwt.decode(token, KEY, ["HS256"])
    assert claims["exp"] - claims["iat"] == 3600


async def test_without_arguments_the_servers_file_signs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    path.write_text("s" * 40 + "\n")
    monkeypatch.delenv("EDDYLINE_AUTH_KEY")
    monkeypatch.setenv("EDDYLINE_AUTH_KEY_FILE", str(path))
    token = minted(capsys)
    assert (await authenticator_from_settings(Settings.read()).verify(token)).subject == "me"


async def test_a_file_with_a_secret_signs_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_text("s" * 40 + "\n")
    token = minted(capsys, *ALICE, "--key-file", str(path))
    authenticator = authenticator_from_settings(Settings(auth_key=None, auth_key_file=path))
    assert (await authenticator.verify(token)).subject == "alice"


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, 3600), ("30s", 30), ("15m", 900), ("2h", 7200), ("7d", 604_800)]
)
def test_a_token_lives_as_long_as_it_is_told(
    capsys: pytest.CaptureFixture[str], text: str | None, seconds: int
) -> None:
    now = time.time()
    token = minted(capsys, *ALICE, *(["--expires", text] if text else []))
    claims = jwt.decode(token, KEY, ["HS256"])
    assert claims["exp"] - claims["iat"] == seconds
    assert -1 <= claims["iat"] - now < 10


def test_another_variable_can_hold_the_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "o" * 32)
    assert jwt.decode(minted(capsys, *ALICE, "--key-env", "OTHER_KEY"), "o" * 32, ["HS256"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([*ALICE, "--scope", "events"], "'events' is not a scope: expected <service>:<action>"),
        ([*ALICE, "--scope", ""], "it is empty: expected <service>:<action>"),
        ([*ALICE, "--expires", "1"], "'1' is not a life: expected like 30s"),
        ([*ALICE, "--expires", "-1h"], "expected"),
        ([*ALICE, "--expires", "0h"], "'0h' is not a life"),
        ([*ALICE, "--expires", "9999999999d"], "is not a life"),
        ([*ALICE, "--key-env", "NOT_SET"], "NOT_SET is not set: export the server's key"),
        ([*ALICE, "--key-file", "/no/such"], "--key-file /no/such: No such file"),
        ([*ALICE, "--key-file", "x", "--key-env", "Y"], "not allowed with argument"),
    ],
)
def test_what_is_wrong_is_said(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert reason in complaint(capsys, *arguments)


def test_a_short_key_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDDYLINE_AUTH_KEY", "short")
    assert "EDDYLINE_AUTH_KEY has 5 bytes" in complaint(capsys, *ALICE)


@pytest.mark.parametrize(
    "content",
    [
        public_pem(ec.generate_private_key(ec.SECP256R1())),
        private_pem(ec.generate_private_key(ec.SECP384R1())),
        private_pem(rsa.generate_private_key(65537, 1024)),
        private_pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"pw")),
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ],
)
def test_a_key_that_cannot_sign_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    text = complaint(capsys, *ALICE, "--key-file", str(path))
    assert f"--key-file {path} is not an RSA" in text
    assert "openssl genpkey" in text


def test_help_shows_how(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for words in ("examples:", "EDDYLINE_AUTH_KEY", "--expires", "<service>:<action>[:<pattern>]"):
        assert words in text
    assert KEY not in text


def test_it_runs_as_a_command_from_anywhere(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "eddyline", "token", *ALICE],
        cwd=tmp_path,
        env={**os.environ, "EDDYLINE_AUTH_KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert jwt.decode(ran.stdout.strip(), KEY, ["HS256"])["sub"] == "alice"
    assert ran.stderr == ""
