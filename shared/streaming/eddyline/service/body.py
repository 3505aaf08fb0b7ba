"""The whole body of a request, in memory, within a bound."""

from collections.abc import Callable

from starlette.requests import Request

from eddyline.errors import TooLarge

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


def at_most(limit: int, complaint: str) -> Check:
    """A check that refuses a body of more than `limit` bytes in the words of `complaint`."""

    def check(body: bytearray) -> None:
        if len(body) > limit:
            raise TooLarge(complaint)

    return check
