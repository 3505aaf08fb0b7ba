"""The part of all topics and event types that the hub keeps for itself.

Subscribers by the Mercure protocol trust that an event in this namespace, or of this type, comes
from the hub (section Publication). Publishers by any protocol are therefore kept out of it.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

#: The hub's path, and the root of its namespace.
PATH = "/.well-known/mercure"

#: The type of the hub's own events.
HUB_TYPE = "mercure"

# The parser of the WHATWG URL standard drops these, and knows these schemes.
_AROUND = "".join(map(chr, range(0x21)))
_ANYWHERE = str.maketrans("", "", "\t\n\r")
_SPECIAL = ("http", "https", "ws", "wss", "ftp", "file")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_DOT = re.compile(r"(?:\.|%2e){1,2}\Z", re.IGNORECASE)
_UNRESERVED = re.compile(r"%(?:2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def is_reserved(topic: str) -> bool:
    """Whether a topic, resolved against the hub's URL, is in the hub's namespace, on any host.

    Hosts are not looked at: a text whose host is none is judged by its path, too.
    """
    text = re.split("[?#]", topic.strip(_AROUND).translate(_ANYWHERE), maxsplit=1)[0]
    path = _path(text)
    if path is None:
        return False
    resolved = "/" + "/".join(_without_dots(path.split("/")))
    # Dot segments are gone; every other encoded character is still as the publisher wrote it.
    decoded = _UNRESERVED.sub(lambda found: unquote(found[0]), resolved)
    return decoded == PATH or decoded.startswith(f"{PATH}/")


def _path(text: str) -> str | None:
    """The path, behind its first slash; None for an opaque one, such as a URN's."""
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else "https"
    rest = text[match.end() :] if match else text
    if scheme not in _SPECIAL:
        if not rest.startswith("/"):
            return None
        return rest[2:].partition("/")[2] if rest.startswith("//") else rest[1:]
    rest = rest.replace("\\", "/")
    if scheme == "file":
        return rest[2:].partition("/")[2] if rest.startswith("//") else rest.removeprefix("/")
    if scheme != "https" or rest.startswith("//"):
        return rest.lstrip("/").partition("/")[2]
    if rest.startswith("/"):
        return rest[1:]
    # Relative to the hub's URL; an empty one is that URL.
    return PATH[1 : PATH.rindex("/") + 1] + rest if rest else PATH[1:]


def _without_dots(segments: list[str]) -> list[str]:
    found: list[str] = []
    for segment in segments:
        dots = _DOT.match(segment)
        if dots is None:
            found.append(segment)
        elif len(unquote(segment)) == 2 and found:
            found.pop()
    # A dot segment at the end leaves a slash there, which makes no difference here.
    return found
