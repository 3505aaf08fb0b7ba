"""The errors of a client: refused for good, failed for now, cut short, changed, damaged."""

import httpx
import orjson

from eddyline.errors import StreamingError
from eddyline.wire.retry_after import retry_after

#: Statuses of 4xx that may pass.
PASSING = (408, 425, 429)


class Refused(StreamingError):
    """The server refuses for good; `status` is its answer's, the text is its own where it has one.

    Trying again would not help: no token or a bad one, no right, no such stream, a bad request.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Failed(StreamingError):
    """No good answer for as long as the client was patient.

    `status` is that of the last answer (5xx, or a 4xx that may pass), and 0 where there was none.
    `retry_after`: seconds that it asked the client to wait.
    """

    def __init__(self, status: int, detail: str, retry_after: float = 0.0) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after


class Incomplete(StreamingError):
    """An answer ended before its end: the part that was read is not the whole."""


class DigestMismatch(StreamingError):
    """The bytes that arrived are others than those that the server, or the caller, names."""


class StateFileError(StreamingError):
    """A file with the place in a stream is in use, is damaged, or belongs to another stream."""


async def detail_of(response: httpx.Response) -> str:
    """The server's words for an error: the detail of a problem document (RFC 9457), else its
    status.
    """
    if "json" in response.headers.get("content-type", ""):
        try:
            detail = orjson.loads(await response.aread())["detail"]
            if isinstance(detail, str):
                return detail
        except (ValueError, TypeError, KeyError):
            pass
    return f"the server answered {response.status_code}"


async def error_of(response: httpx.Response) -> Refused | Failed:
    """The error that an answer without success stands for."""
    status = response.status_code
    detail = await detail_of(response)
    if 400 <= status < 500 and status not in PASSING:
        return Refused(status, detail)
    return Failed(status, detail, retry_after(response.headers.get("retry-after", "")) or 0.0)
