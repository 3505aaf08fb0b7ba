"""The bearer token in the `Authorization` header of a request (RFC 6750 section 2.1)."""

from collections.abc import Callable

from starlette.requests import Request

from eddyline.errors import StreamingError, Unauthorized


def bearer_token(
    request: Request, malformed: Callable[[str], StreamingError] = Unauthorized
) -> str | None:
    """The token; None where the request has no such header.

    `malformed` makes the error of a header that is not one bearer token. Its text holds no part of
    the header.
    """
    headers = request.headers.getlist("authorization")
    if not headers:
        return None
    scheme, _, token = headers[0].partition(" ")
    # Of two headers, a proxy in front of us may have checked the other one.
    if len(headers) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise malformed("one Authorization header of the form `Bearer <JWT>` is needed")
    return token.strip()
