"""The paths of streams: all that follows `/v1/stream/` is a stream's key."""

from urllib.parse import unquote, urlsplit

ROOT = "/v1/stream/"

#: The first segment of paths that are the service's own (section 6 of the protocol).
RESERVED = "__ds"


def key_of(path: str) -> str | None:
    """The key of the stream at the path of a URL, which may be a whole URL of this service."""
    path = unquote(urlsplit(path).path)
    key = path.removeprefix(ROOT)
    return None if key == path or not key or is_reserved(key) else key


def is_reserved(key: str) -> bool:
    return key == RESERVED or key.startswith(f"{RESERVED}/")
