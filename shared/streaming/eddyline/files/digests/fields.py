"""Header fields of digests (RFC 9530), and the one of Artifactory's clients."""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

#: A member of a dictionary of structured fields (RFC 9651 §3.2) with an integer, and parameters.
_MEMBER = re.compile(r"[ \t]*([a-z*][a-z0-9_.*-]*)=(-?[0-9]{1,15})(?:;[^,]*)?[ \t]*")

ALGORITHM: Final = "sha-256"


def digest_field(sha256: bytes) -> str:
    """The value of `Repr-Digest` (§3) and `Content-Digest` (§2)."""
    return f"{ALGORITHM}=:{b64encode(sha256).decode()}:"


def representation_fields(sha256: bytes) -> dict[str, str]:
    """Fields of a response with a part of the file, or all of it."""
    return {"repr-digest": digest_field(sha256), "x-checksum-sha256": sha256.hex()}


def takes(preferences: Sequence[str]) -> bool | None:
    """Whether a client wants SHA-256, by the lines of its `Want-Repr-Digest` (§4).

    None: it does not say. A field that is malformed says nothing (RFC 9651 §4.2).
    """
    wanted: bool | None = None
    for member in ",".join(preferences).split(",") if preferences else ():
        match = _MEMBER.fullmatch(member)
        if match is None or not 0 <= int(match[2]) <= 10:
            return None
        if match[1] == ALGORITHM:
            wanted = int(match[2]) > 0
    return wanted
