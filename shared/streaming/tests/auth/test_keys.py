from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from eddyline.auth.keys import key_from_file, secret_key
from eddyline.errors import SettingsError

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())


def public_pem(
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey,
) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(private: rsa.RSAPrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read(folder: Path, content: bytes) -> object:
    path = folder / "key"
    path.write_bytes(content)
    return key_from_file(path, f"EDDYLINE_AUTH_KEY_FILE={path}")


@pytest.mark.parametrize(
    ("content", "algorithm"),
    [
        (public_pem(RSA), "RS256"),
        (b"\n" + public_pem(P256), "ES256"),
        (b"s" * 32, "HS256"),
        (b"s" * 32 + b"\r\n", "HS256"),
    ],
)
def test_the_kind_of_a_key_decides_its_algorithm(
    tmp_path: Path, content: bytes, algorithm: str
) -> None:
    key = read(tmp_path, content)
    assert getattr(key, "algorithm") == algorithm  # noqa: B009
    assert "ssss" not in repr(key)


def test_the_line_end_of_a_file_is_no_part_of_the_secret(tmp_path: Path) -> None:
    assert read(tmp_path, b"s" * 40 + b"\n") == secret_key(b"s" * 40, "x")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"s" * 31, "has 31 bytes, and HS256 needs 32 or more"),
        (b"s" * 31 + b"\n", "has 31 bytes"),
        (b"", "has 0 bytes"),
        (private_pem(RSA), "is a private key.*openssl pkey"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "is not the PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is not the PEM"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "is not the PEM"),
        (public_pem(ed448.Ed448PrivateKey.generate()), "is not the PEM"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "is not the PEM"),
    ],
)
def test_a_file_that_is_no_key_is_refused_by_its_name(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        read(tmp_path, content)
    assert caught.value.detail.startswith(f"EDDYLINE_AUTH_KEY_FILE={tmp_path}/key ")
    assert "ssss" not in caught.value.detail


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="EDDYLINE_AUTH_KEY_FILE=x: No such file"):
        key_from_file(tmp_path / "none", "EDDYLINE_AUTH_KEY_FILE=x")
    with pytest.raises(SettingsError, match="Is a directory"):
        key_from_file(tmp_path, "x")


def test_a_public_key_is_no_secret() -> None:
    with pytest.raises(SettingsError, match="EDDYLINE_AUTH_KEY is a public or private key"):
        secret_key(public_pem(RSA), "EDDYLINE_AUTH_KEY")
