"""The whole body of a request, in memory, within a bound."""

from collections.abc import Callable

from starlette.requests import Request

from eddyline.errors import TooLarge, UnsupportedMediaType

#: Is called with the body as far as it has come; raises TooLarge where that is too much.
Check = Callable[[bytearray], None]


async def read_body(request: Request, check: Check) -> bytes:
    """Read a request's body. FastAPI would take one of any size into memory.

    A chunked body names no length, so `check` runs after each piece, however the body is framed:
    its error ends the reading there.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        check(body)
    return bytes(body)


def require_type(request: Request, *types: str) -> str:
    """The media type of the body, in lower case, and "" where the request names none; raises
    UnsupportedMediaType for one that is not among `types`, and for an encoded body (RFC 9110
    section 15.5.16).
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    expected = " or ".join(types)
    if given and given not in types:
        raise UnsupportedMediaType(f"Content-Type {given[:80]!r}: expected {expected}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType(f"Content-Encoding {encoding[:80]!r}: send the body as it is")
    return given


def at_most(limit: int, complaint: str) -> Check:
    """A check that refuses a body of more than `limit` bytes in the words of `complaint`."""

    def check(body: bytearray) -> None:
        if len(body) > limit:
            raise TooLarge(complaint)

    return check
