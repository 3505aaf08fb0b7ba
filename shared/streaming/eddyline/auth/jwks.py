"""A JWK set (RFC 7517) from a URL or a file: fetched when needed, kept, and fetched again."""

import asyncio
import logging
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import jwt
import orjson

from eddyline.auth.keys import Key, public_key
from eddyline.errors import SettingsError, Unauthorized, Unavailable

#: Seconds. A key that its issuer withdrew is trusted for `MAX_AGE` at most, while it answers.
MAX_AGE = 600.0
FETCH_TIMEOUT = 5.0

#: Seconds between two fetches: anyone can send a token with a made-up `kid`, which must not be a
#: way to flood the issuer. Without any key there is nothing to lose by asking again soon.
SPACING = 30.0
SPACING_WITHOUT_KEYS = 1.0

_log = logging.getLogger("eddyline.auth")


class Jwks:
    """The keys of one issuer; a file is read at once (raises SettingsError), a URL on first use."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._url = source if source.startswith(("https://", "http://")) else None
        self._keys: list[Key] = []
        self._loaded_at = 0.0
        self._not_before = 0.0
        self._failed = False
        self._fetch: asyncio.Task[None] | None = None
        if self._url is None:
            self._read_at_start(Path(source))

    async def find(self, kid: str | None) -> Key:
        """The key of that id; raises Unauthorized without one, Unavailable without the set."""
        key = self._pick(kid)
        if key is None or monotonic() - self._loaded_at > MAX_AGE:
            await self._refresh()
            key = self._pick(kid)
        if key is not None:
            return key
        if self._failed:
            wait = max(1.0, self._not_before - monotonic())
            raise Unavailable("the keys that tokens are verified with can't be had now", wait)
        if kid is None:
            raise Unauthorized("the token does not say which key signed it: its header needs a kid")
        raise Unauthorized(
            f"the token is signed by the key {kid[:80]!r}, which is not trusted here"
        )

    def _pick(self, kid: str | None) -> Key | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.id == kid), None)

    async def _refresh(self) -> None:
        if self._fetch is None:
            if monotonic() < self._not_before:
                return
            self._fetch = asyncio.create_task(self._load())
        # Shielded: the request that started the fetch may go away, the others still wait for it.
        await asyncio.shield(self._fetch)

    async def _load(self) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                self._keys = parse(await self._read())
        except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
            self._failed = True
            _log.warning("JWKS not read, %d keys kept: %r", len(self._keys), error)
        else:
            self._failed = False
            self._loaded_at = monotonic()
        finally:
            self._not_before = monotonic() + (SPACING if self._keys else SPACING_WITHOUT_KEYS)
            self._fetch = None

    async def _read(self) -> bytes:
        if self._url is None:
            return await asyncio.to_thread(Path(self._source).read_bytes)
        async with httpx.AsyncClient() as client:
            response = await client.get(self._url)
        if response.status_code != 200:
            raise ValueError(f"the server answered {response.status_code}")
        return response.content

    def _read_at_start(self, path: Path) -> None:
        try:
            self._keys = parse(path.read_bytes())
        except OSError as error:
            raise SettingsError(
                f"EDDYLINE_AUTH_JWKS={self._source}: {error.strerror};"
                " expected a file or an https:// URL"
            ) from None
        except ValueError as error:
            raise SettingsError(f"EDDYLINE_AUTH_JWKS={self._source}: {error}") from None
        self._loaded_at = monotonic()


def parse(document: bytes) -> list[Key]:
    """The keys that can verify, others passed over; a set without any raises ValueError."""
    try:
        items = orjson.loads(document)["keys"]
    except (ValueError, TypeError, KeyError):
        raise ValueError('not a JWK set: expected {"keys": [...]}') from None
    keys = [key for item in items if (key := _key(item)) is not None] if type(items) is list else []
    if not keys:
        raise ValueError("the JWK set holds no RS256, ES256 or EdDSA public key")
    return keys


def _key(item: Any) -> Key | None:
    # `oct` is passed over as well: a secret in a set that others can read is none.
    if type(item) is not dict or item.get("use", "sig") != "sig":
        return None
    try:
        key = public_key(jwt.PyJWK(item).key, "jwk", item.get("kid"))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, NotImplementedError):
        return None
    return key if item.get("alg", key.algorithm) == key.algorithm else None
