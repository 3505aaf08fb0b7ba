"""The fields of a request of the Mercure protocol: form-encoded (WHATWG URL), query or body."""

from urllib.parse import parse_qsl

from fastapi import Request

from eddyline.errors import BadRequest, TooLarge, UnsupportedMediaType
from eddyline.service.body import at_most, read_body, require_type

FORM = "application/x-www-form-urlencoded"

#: Fields of one query or body.
MAX_FIELDS = 4096

Fields = list[tuple[str, str]]


def query_fields(request: Request) -> Fields:
    """Raises BadRequest for a query that is not UTF-8."""
    raw: bytes = request.scope["query_string"]
    return _parse(raw, "query")


async def body_fields(request: Request, limit: int) -> Fields:
    """Raises TooLarge for a body of more than `limit` bytes, UnsupportedMediaType for no form."""
    if not require_type(request, FORM):
        raise UnsupportedMediaType(f"a Content-Type is needed: {FORM}")
    complaint = f"an update may have {limit} bytes, encoded (EVENTS_MAX_EVENT_BYTES)"
    return _parse(await read_body(request, at_most(limit, complaint)), "body")


def _parse(raw: bytes, where: str) -> Fields:
    try:
        text = raw.decode()
        if text.count("&") >= MAX_FIELDS:
            raise TooLarge(f"the {where} has more than {MAX_FIELDS} fields")
        return parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest(f"the {where} is not UTF-8") from None
