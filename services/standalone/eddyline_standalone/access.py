"""The token that `make run` prints where the suite asks for one: a laptop's user has the key."""

import re

from eddyline.auth.keys import is_pem, read_key_file, secret_key
from eddyline.auth.principal import Scope
from eddyline.auth.tokens import SigningKey, sign
from eddyline.service.settings import Settings

#: The variable that the printed commands take the token from, as the command line's client does.
VARIABLE = "EDDYLINE_TOKEN"
_HOURS = 12

#: The program, and no path or host that has its name.
_CURL = re.compile(r"(?<![\w./-])curl(?= )")


class Access:
    """How clients of the suite get in, by `settings`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.on = settings.auth != "off" and bool(
            settings.auth_key or settings.auth_key_file or settings.auth_jwks
        )

    def text(self) -> str:
        """Lines for the terminal; with a secret of the suite's own they hold a token."""
        if not self.on:
            if self._settings.on_loopback:
                return "Authentication is off: only this machine can connect."
            return "Authentication is off: anyone who can connect may do everything."
        if (key := self._signing_key()) is None:
            return (
                "Authentication is on, by a public key. Sign a token with the private one:\n\n"
                f"  export {VARIABLE}=$(eddyline token --key-file private.pem)"
            )
        token = sign(
            key,
            subject="me",
            scopes=[Scope("*", "*")],
            expires=_HOURS * 3600,
            issuer=self._settings.auth_issuer,
            audience=self._settings.auth_audience,
        )
        return (
            f"Authentication is on. This token may do everything for {_HOURS} hours"
            f" (`make token` makes others):\n\n  export {VARIABLE}={token}"
        )

    def command(self, text: str) -> str:
        """The command `text`, in which each curl carries the token where one is needed."""
        if not self.on:
            return text
        return _CURL.sub(f'curl -H "Authorization: Bearer ${VARIABLE}"', text)

    def _signing_key(self) -> SigningKey | None:
        settings = self._settings
        if settings.auth_key is not None:
            secret = settings.auth_key.get_secret_value().encode()
            return SigningKey(secret_key(secret, "EDDYLINE_AUTH_KEY").material, "HS256")
        if settings.auth_key_file is None:
            return None
        origin = f"EDDYLINE_AUTH_KEY_FILE={settings.auth_key_file}"
        text = read_key_file(settings.auth_key_file, origin)
        return None if is_pem(text) else SigningKey(secret_key(text, origin).material, "HS256")
