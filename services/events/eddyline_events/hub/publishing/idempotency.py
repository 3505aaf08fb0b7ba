"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): publishing again adds nothing."""

import re
from hashlib import blake2b

from fastapi import Request

from eddyline.auth.principal import Principal
from eddyline.errors import BadRequest

#: Tells that the answer is that of an earlier request; the draft names no field, this is the one
#: that is in use.
REPLAYED = {"Idempotent-Replayed": "true"}

# The draft has a quoted string (RFC 9651 section 3.3.3); most clients send it without quotes.
_KEY = re.compile(r'"([ !#-\[\]-~]{1,255})"\Z|([!#-\[\]-~]{1,255})\Z')


def key_of(request: Request, principal: Principal) -> str | None:
    """The key under which a journal remembers; None where the publisher gave none.

    A digest, so that no principal can meet another's keys, and the store learns neither.
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    match = _KEY.match(given[0]) if len(given) == 1 else None
    if match is None:
        raise BadRequest(
            f"Idempotency-Key {given[0][:80]!r}: must be one key of 1-255 printable ASCII"
            " characters, without quotation marks or backslashes inside"
        )
    text = repr((principal.identity, match[1] or match[2]))
    return blake2b(text.encode(), digest_size=16).hexdigest()
