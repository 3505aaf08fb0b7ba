"""`eddyline token`: signs a token, for trying a service out and for scripts.

Not named token.py: run from inside this directory, Python would take that for its own `token`
module and not start.
"""

import argparse
import os
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from eddyline.auth.keys import is_pem, public_key, read_key_file, secret_key
from eddyline.auth.principal import Scope
from eddyline.errors import SettingsError

_KEY_ENV = "EDDYLINE_AUTH_KEY"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_EXAMPLES = """\
examples:
  EDDYLINE_AUTH_KEY=... eddyline token
  eddyline token --subject alice --scope events:subscribe --expires 15m
  eddyline token --key-file private.pem --subject ci --scope 'events:publish:build/*'
  curl -H "Authorization: Bearer $(eddyline token)" ...

scopes: <service>:<action>[:<pattern>]; service and action may be `*`; in the pattern of a topic or
a path `*` stands for any characters; without a pattern a scope is for every topic and path.
"""


class SigningKey(NamedTuple):
    """The key that signs, and the one algorithm that it is for."""

    material: Any
    algorithm: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a token and nothing else; errors go to standard error, with exit code 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        print(mint(options))
    except SettingsError as error:
        parser.error(error.detail)


def mint(options: argparse.Namespace) -> str:
    """The token; raises SettingsError for a key that can't sign."""
    return sign(
        _signing_key(options),
        subject=options.subject,
        scopes=options.scope or [Scope("*", "*")],
        expires=options.expires,
        issuer=options.issuer,
        audience=options.audience,
        kid=options.kid,
    )


def sign(
    key: SigningKey,
    *,
    subject: str,
    scopes: Iterable[Scope],
    expires: int,
    issuer: str | None = None,
    audience: str | None = None,
    kid: str | None = None,
) -> str:
    """A JWT that lives for `expires` seconds from now."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": subject,
        "scope": " ".join(str(scope) for scope in scopes),
        "iat": now,
        "exp": now + expires,
        "jti": secrets.token_urlsafe(9),  # by this name it can be kicked
    }
    claims |= {"iss": issuer} if issuer else {}
    claims |= {"aud": audience} if audience else {}
    return jwt.encode(claims, key.material, key.algorithm, {"kid": kid} if kid else None)


def _signing_key(options: argparse.Namespace) -> SigningKey:
    path = options.key_file or _file_of_the_server(options)
    if path is not None:
        origin = f"{'--key-file ' if options.key_file else 'EDDYLINE_AUTH_KEY_FILE='}{path}"
        text = read_key_file(path, origin)
        if is_pem(text):
            return _private_key(text, origin)
        return SigningKey(secret_key(text, origin).material, "HS256")
    secret = os.environ.get(options.key_env, "")
    if not secret:
        raise SettingsError(
            f"{options.key_env} is not set: export the server's key in it, or give --key-file;"
            f" for a new one: export {options.key_env}=$(openssl rand -hex 32)"
        )
    return SigningKey(secret_key(secret.encode(), options.key_env).material, "HS256")


def _file_of_the_server(options: argparse.Namespace) -> Path | None:
    """The file that the server's own setting names, where no variable has a secret."""
    path = os.environ.get("EDDYLINE_AUTH_KEY_FILE")
    if not path or options.key_env != _KEY_ENV or os.environ.get(_KEY_ENV):
        return None
    return Path(path)


def _private_key(pem: bytes, origin: str) -> SigningKey:
    try:
        private = load_pem_private_key(pem, password=None)
        return SigningKey(private, public_key(private.public_key(), origin).algorithm)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        raise SettingsError(
            f"{origin} is not an RSA (2048 bits or more), P-256 or Ed25519 private key without a"
            " password; `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eddyline token",
        description="Prints a signed bearer token (JWT) for Eddyline's services.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    environment = os.environ.get
    key = parser.add_mutually_exclusive_group()
    key.add_argument(
        "--key-env",
        default=_KEY_ENV,
        metavar="NAME",
        help=f"variable that holds the HS256 secret (default: {_KEY_ENV})",
    )
    key.add_argument(
        "--key-file",
        type=Path,
        metavar="PATH",
        help="RSA, P-256 or Ed25519 private key (PEM), or a file with the HS256 secret"
        " (default: EDDYLINE_AUTH_KEY_FILE)",
    )
    parser.add_argument(
        "--subject",
        default="me",
        help="the user or service that the token stands for (default: me)",
    )
    parser.add_argument(
        "--scope",
        action="extend",
        type=_scopes,
        help="a right that it grants; repeat it, or separate by spaces (default: '*:*', all)",
    )
    parser.add_argument(
        "--expires", default="1h", type=_seconds, help="life: 30s, 15m, 1h, 7d (default: 1h)"
    )
    parser.add_argument(
        "--issuer",
        default=environment("EDDYLINE_AUTH_ISSUER"),
        help="default: EDDYLINE_AUTH_ISSUER",
    )
    parser.add_argument(
        "--audience",
        default=environment("EDDYLINE_AUTH_AUDIENCE"),
        help="default: EDDYLINE_AUTH_AUDIENCE",
    )
    parser.add_argument("--kid", help="the key's id, where the server reads a JWK set")
    return parser


def _scopes(text: str) -> list[Scope]:
    try:
        scopes = [Scope.parse(word) for word in text.split()]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not scopes:
        raise argparse.ArgumentTypeError("it is empty: expected <service>:<action>[:<pattern>]")
    return scopes


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a life: expected like 30s, 15m, 1h, 7d")
    return int(match[1]) * _UNITS[match[2]]
