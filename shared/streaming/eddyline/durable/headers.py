"""The headers of the protocol's answers, and refusals."""

import math

from starlette.requests import Request
from starlette.responses import Response

from eddyline.connection.refusal import problem_document
from eddyline.durable import cursors
from eddyline.durable.base import Piece
from eddyline.errors import StreamingError, Unavailable

#: For pages that reach a stream by other ways than `fetch` (section 12.7). A stream may hold a
#: stranger's page: opened as one, it runs nothing.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "sandbox",
}

NO_STORE = "no-store"


def place(piece: Piece) -> dict[str, str]:
    """Where an answer leaves its reader or its writer."""
    headers = {**SECURITY, "Stream-Next-Offset": piece.next}
    if piece.at_tail:
        headers["Stream-Up-To-Date"] = "true"
    if piece.closed:
        headers["Stream-Closed"] = "true"
    return headers


def live_cursor(piece: Piece, cursor: int | None) -> dict[str, str]:
    return {} if piece.closed else {"Stream-Cursor": cursors.following(cursor)}


def etag(piece: Piece) -> str:
    """Offsets name bytes, and a stream that was closed since is another answer (10.1)."""
    return f'"{piece.start}:{piece.next}{":c" if piece.closed else ""}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has this answer (RFC 9110, section 13.1.2)."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or tag in (
        each.strip().removeprefix("W/") for each in known.split(",")
    )


def refusal(
    request: Request, error: StreamingError, headers: dict[str, str] | None = None
) -> Response:
    """A problem document (RFC 9457). Raises `error` where its text is not meant for clients."""
    if error.status == 500:
        raise error
    all_headers = {**SECURITY, "Cache-Control": NO_STORE, **(headers or {})}
    if isinstance(error, Unavailable):
        all_headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        all_headers["WWW-Authenticate"] = 'Bearer realm="eddyline"'
    return problem_document(request, error.status, error.title, error.detail, all_headers)
