"""Links: the right to read one file, or all beneath a folder, signed and for a time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import jwt

from eddyline.auth.keys import secret_key
from eddyline.errors import Gone, NotFound

#: No token for the API is one of these, and none of these is a token (RFC 8725 §3.11).
TYPE: Final = "eddyline-link+jwt"
AUDIENCE: Final = "eddyline-link"

#: Seconds of the longest life of a link.
LONGEST = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Link:
    """`path` is a file, or a folder that ends in a slash; `expires` is in Unix seconds.

    `downloads` is the number of answers that it is good for; None: any.
    """

    id: str
    path: str
    expires: int
    kind: Literal["attachment", "inline"] = "attachment"
    downloads: int | None = None

    @property
    def is_folder(self) -> bool:
        return self.path.endswith("/")

    def file(self, asked: str) -> str:
        """The path in the store for the end of a URL; raises NotFound."""
        if self.is_folder:
            return self.path + asked
        if asked != self.path.rpartition("/")[2]:
            raise NotFound("this link is of another file")
        return self.path


class LinkKeys:
    """Signs by the first key, and takes links of all of them: so keys are exchanged."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Raises SettingsError for a secret that is too short."""
        keys = [secret_key(each.encode(), "DOWNLOADS_LINK_KEYS") for each in secrets]
        self._keys: dict[str, bytes] = {
            hashlib.sha256(b"eddyline-link " + each).hexdigest()[:16]: each
            for each in (key.material for key in keys)
            if isinstance(each, bytes)
        }

    def sign(self, link: Link) -> str:
        key_id, key = next(iter(self._keys.items()))
        claims = {
            "aud": AUDIENCE,
            "jti": link.id,
            "exp": link.expires,
            "path": link.path,
            "kind": link.kind,
            "max": link.downloads,
        }
        return jwt.encode(claims, key, "HS256", headers={"typ": TYPE, "kid": key_id})

    def verified(self, text: str) -> Link:
        """Raises NotFound for a text that no key has signed, and Gone for a link that expired."""
        try:
            header = jwt.get_unverified_header(text)
            key = self._keys.get(header.get("kid", ""))
            if key is None or header.get("typ") != TYPE:
                raise NotFound("there is no such link")
            claims = jwt.decode(
                text,
                key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                options={"require": ["exp", "jti"]},
            )
        except jwt.ExpiredSignatureError:
            raise Gone("this link has expired: ask for a new one") from None
        except jwt.InvalidTokenError:
            raise NotFound("there is no such link") from None
        return Link(claims["jti"], claims["path"], claims["exp"], claims["kind"], claims["max"])
