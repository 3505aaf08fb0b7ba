"""The media type and the name of a file, as its client sees them."""

import mimetypes
import re
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

BINARY = "application/octet-stream"

#: A compressed file is sent as it is, and so is its type: there is no `Content-Encoding`.
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": BINARY,
}

#: RFC 8187 §3.2.1, attr-char, without the characters that `quote` always leaves alone.
_ATTR_CHAR = "!#$&+^`|"


@lru_cache(256)
def media_type(path: str) -> str:
    kind, encoding = mimetypes.guess_type(path)
    if encoding is not None:
        return _COMPRESSED.get(encoding, BINARY)
    return kind or BINARY


@lru_cache(256)
def content_disposition(kind: Literal["attachment", "inline"], path: str) -> str:
    """RFC 6266: a plain name for all, and where that is not the name, the name by RFC 8187."""
    name = path.rpartition("/")[2]
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    if plain == name:
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"
