"""Access: the tokens that a process accepts by its settings, and the caller of an endpoint."""

import logging
from typing import Annotated

from fastapi import Depends, Request

from eddyline.auth.authenticator import HOW_TO_SET_A_KEY, Authenticator
from eddyline.auth.base import TokenVerifier
from eddyline.auth.jwks import Jwks
from eddyline.auth.jwt import JwtVerifier, KeySource, OneKey
from eddyline.auth.keys import Key, key_from_file, secret_key
from eddyline.auth.principal import Principal
from eddyline.errors import SettingsError
from eddyline.service.settings import Settings

_log = logging.getLogger("eddyline.auth")


def authenticator_from_settings(
    settings: Settings, verifier: TokenVerifier | None = None
) -> Authenticator:
    """Raises SettingsError where no setting tells friend from stranger.

    `verifier`: another way to verify tokens, in place of the JWT's keys that the settings name.
    """
    if verifier is not None:
        return Authenticator(verifier)
    keys = None if settings.auth == "off" else _key_source(settings)
    if keys is None:
        _log.warning("authentication is off: any client that connects may do everything")
        loopback_only = settings.auth == "auto"
        return Authenticator(None, loopback_only=loopback_only, origins=settings.cors_origins)
    previous = _previous_key(settings)
    return Authenticator(JwtVerifier(keys, settings.auth_issuer, settings.auth_audience, previous))


async def principal(request: Request) -> Principal:
    """The principal of a request, as the authenticator of its app (`Context`) tells."""
    authenticator: Authenticator = request.app.state.context.authenticator
    return await authenticator.principal(request)


#: The annotation of an endpoint's parameter: the principal that calls. Without a good token the
#: endpoint never runs.
Caller = Annotated[Principal, Depends(principal)]


def _previous_key(settings: Settings) -> Key | None:
    if settings.auth_previous_key is None:
        return None
    if settings.auth_jwks is not None:
        raise SettingsError(
            "EDDYLINE_AUTH_PREVIOUS_KEY and EDDYLINE_AUTH_JWKS are set: a set holds all keys"
        )
    secret = settings.auth_previous_key.get_secret_value().encode()
    return secret_key(secret, "EDDYLINE_AUTH_PREVIOUS_KEY")


def _key_source(settings: Settings) -> KeySource | None:
    """The configured source of keys. None: there is none, and only this machine can connect."""
    configured = [
        name
        for name in ("auth_key", "auth_key_file", "auth_jwks")
        if getattr(settings, name) is not None
    ]
    if len(configured) > 1:
        raise SettingsError(
            f"{' and '.join(f'EDDYLINE_{name.upper()}' for name in configured)} are set: leave one"
        )
    if settings.auth_key is not None:
        secret = settings.auth_key.get_secret_value().encode()
        return OneKey(secret_key(secret, "EDDYLINE_AUTH_KEY"))
    if settings.auth_key_file is not None:
        path = settings.auth_key_file
        return OneKey(key_from_file(path, f"EDDYLINE_AUTH_KEY_FILE={path}"))
    if settings.auth_jwks is not None:
        return Jwks(settings.auth_jwks)
    if settings.auth == "on":
        raise SettingsError(f"EDDYLINE_AUTH=on, and there is no key: {HOW_TO_SET_A_KEY}")
    if not settings.on_loopback:
        raise SettingsError(
            f"EDDYLINE_HOST={settings.host} is open to other machines, and there is no key:"
            f" {HOW_TO_SET_A_KEY}; or EDDYLINE_AUTH=off, if any client may do everything"
        )
    return None
