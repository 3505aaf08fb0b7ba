"""A request's whole body, of a size that somebody checks."""

from collections.abc import Callable

from fastapi import Request


async def whole_body(request: Request, check: Callable[[bytearray], None]) -> bytes:
    """`check` is called as the body grows, however it is framed, and raises what is too large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        check(body)
    return bytes(body)
