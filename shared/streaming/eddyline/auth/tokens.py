"""`eddyline token`: signs a token, for trying a service out and for scripts.

Not named token.py: run from inside this directory, Python would take that for its own `token`
module and not start.
"""

import argparse
import os
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from eddyline.auth.keys import is_pem, public_key, read_key_file, secret_key
from eddyline.auth.principal import Scope
from eddyline.errors import SettingsError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_EXAMPLES = """\
examples:
  EDDYLINE_AUTH_KEY=... eddyline token --subject alice --scope events:subscribe
  eddyline token --key-file private.pem --subject ci --scope 'events:publish:build/*'
  curl -H "Authorization: Bearer $(eddyline token --subject me --scope '*:*')" ...

scopes: <service>:<action>[:<pattern>]; service and action may be `*`; in the pattern of a topic or
a path `*` stands for any characters; without a pattern a scope is for every topic and path.
"""


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
    material, algorithm = _signing_key(options)
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": options.subject,
        "scope": " ".join(str(scope) for scope in options.scope),
        "iat": now,
        "exp": now + options.expires,
        "jti": secrets.token_urlsafe(9),  # by this name it can be kicked
    }
    claims |= {"iss": options.issuer} if options.issuer else {}
    claims |= {"aud": options.audience} if options.audience else {}
    headers = {"kid": options.kid} if options.kid else None
    return jwt.encode(claims, material, algorithm, headers)


def _signing_key(options: argparse.Namespace) -> tuple[Any, str]:
    if options.key_file is None:
        secret = os.environ.get(options.key_env, "")
        if not secret:
            raise SettingsError(
                f"{options.key_env} is not set: export the server's key in it, or give --key-file"
            )
        return secret_key(secret.encode(), options.key_env).material, "HS256"
    text = read_key_file(options.key_file, f"--key-file {options.key_file}")
    if not is_pem(text):
        return secret_key(text, f"--key-file {options.key_file}").material, "HS256"
    return _private_key(text, f"--key-file {options.key_file}")


def _private_key(pem: bytes, origin: str) -> tuple[Any, str]:
    try:
        private = load_pem_private_key(pem, password=None)
        return private, public_key(private.public_key(), origin).algorithm
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
        default="EDDYLINE_AUTH_KEY",
        metavar="NAME",
        help="variable that holds the HS256 secret (default: EDDYLINE_AUTH_KEY)",
    )
    key.add_argument(
        "--key-file",
        type=Path,
        metavar="PATH",
        help="RSA, P-256 or Ed25519 private key (PEM), or a file with the HS256 secret",
    )
    parser.add_argument(
        "--subject", required=True, help="the user or service that the token stands for"
    )
    parser.add_argument(
        "--scope",
        required=True,
        action="extend",
        type=_scopes,
        help="a right that it grants; repeat it, or separate by spaces",
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
