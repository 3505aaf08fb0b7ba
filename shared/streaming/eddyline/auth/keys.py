"""The keys that tokens are verified with, each bound to the one algorithm that it may be used with.

The binding defeats `alg: none` and an HMAC made with a public key (RFC 8725 section 3.1):
a token's own header is never asked which algorithm to use.
"""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import InvalidKeyError

from eddyline.errors import SettingsError

#: HS256 wants a key at least as long as its hash (RFC 7518 section 3.2).
MIN_SECRET = 32
MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Key:
    """The key that verifies a signature, by HS256, RS256, ES256 or EdDSA; `id` is its `kid` in a
    set.
    """

    material: bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey = field(repr=False)
    algorithm: str
    id: str | None = None


def secret_key(secret: bytes, origin: str) -> Key:
    """An HS256 key; one that is too short or no secret raises SettingsError that names `origin`."""
    if len(secret) < MIN_SECRET:
        raise SettingsError(
            f"{origin} has {len(secret)} bytes, and HS256 needs {MIN_SECRET} or more:"
            " `openssl rand -hex 32` makes a good one"
        )
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except InvalidKeyError:
        raise SettingsError(
            f"{origin} is a public or private key, not a secret: put the public key into a file"
            " and set EDDYLINE_AUTH_KEY_FILE"
        ) from None
    return Key(secret, "HS256")


def public_key(material: object, origin: str, id: str | None = None) -> Key:
    """An RS256, ES256 or EdDSA (RFC 8037) key; any other kind raises ValueError that names
    `origin`.
    """
    if isinstance(material, RSAPublicKey):
        if material.key_size < MIN_RSA_BITS:
            raise ValueError(f"{origin}: RSA of {material.key_size} bits, and RS256 needs 2048")
        return Key(material, "RS256", id)
    if isinstance(material, EllipticCurvePublicKey) and isinstance(material.curve, SECP256R1):
        return Key(material, "ES256", id)
    if isinstance(material, Ed25519PublicKey):
        return Key(material, "EdDSA", id)
    raise ValueError(f"{origin} is not an RSA, a P-256 or an Ed25519 public key")


def key_from_file(path: Path, origin: str) -> Key:
    """A PEM public key, or an HS256 secret and at most a line end; raises SettingsError."""
    text = read_key_file(path, origin)
    if not is_pem(text):
        return secret_key(text, origin)
    if b"PRIVATE KEY-----" in text:
        raise SettingsError(
            f"{origin} is a private key, which only the signer should have:"
            f" `openssl pkey -in {path} -pubout` writes the public one"
        )
    try:
        return public_key(load_pem_public_key(text), origin)
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(
            f"{origin} is not the PEM of an RSA, P-256 or Ed25519 public key"
        ) from None


def read_key_file(path: Path, origin: str) -> bytes:
    try:
        return path.read_bytes().strip(b"\r\n")
    except OSError as error:
        raise SettingsError(f"{origin}: {error.strerror}") from None


def is_pem(text: bytes) -> bool:
    return text.lstrip().startswith(b"-----BEGIN ")
