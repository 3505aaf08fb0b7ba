"""Every error that Eddyline raises on purpose.

StreamingError
├── SettingsError            a setting has a bad value: exit code 3
├── BadRequest               400  the request names a bad value
│   └── BadCursor            400  the text is not a cursor
├── Unauthorized             401  no token, or one that does not verify
├── Forbidden                403  the token does not grant this
├── NotFound                 404
├── NotAcceptable            406  the client takes none of the formats that there are
├── Conflict                 409  the request does not fit the state of the thing it names
├── Gone                     410  it was there, and will not come back
├── TooLarge                 413
├── UnsupportedMediaType     415  the body is of another type than is taken here
├── UpstreamError            502  a server that we depend on failed
└── Unavailable              503  not now: draining, or a dependency is away
    ├── Overloaded           429  a limit is reached
    └── UnknownFormat        503  kept data have a format of a later version
"""


class StreamingError(Exception):
    """Base of all errors here; the text names the value, and a right one."""

    status = 500
    title = "Internal error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class SettingsError(StreamingError):
    """A setting is missing or has a bad value; the process exits with code 3."""


class BadRequest(StreamingError):
    status = 400
    title = "Bad request"


class BadCursor(BadRequest):
    title = "Bad cursor"


class Unauthorized(StreamingError):
    """`challenge` is the value of `WWW-Authenticate` (RFC 9110 §11.6.1)."""

    status = 401
    title = "Unauthorized"
    challenge: str = 'Bearer realm="eddyline"'


class Forbidden(StreamingError):
    status = 403
    title = "Forbidden"


class NotFound(StreamingError):
    status = 404
    title = "Not found"


class NotAcceptable(StreamingError):
    status = 406
    title = "Not acceptable"


class Conflict(StreamingError):
    status = 409
    title = "Conflict"


class Gone(StreamingError):
    status = 410
    title = "Gone"


class TooLarge(StreamingError):
    status = 413
    title = "Too large"


class UnsupportedMediaType(StreamingError):
    status = 415
    title = "Unsupported media type"


class UpstreamError(StreamingError):
    status = 502
    title = "Upstream failed"


class Unavailable(StreamingError):
    """The service cannot answer now; `retry_after` is in seconds."""

    status = 503
    title = "Unavailable"

    def __init__(self, detail: str, retry_after: float = 5.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Overloaded(Unavailable):
    """A limit on streams or rate is reached; `retry_after` is in seconds."""

    status = 429
    title = "Too many streams"


class UnknownFormat(Unavailable):
    """Kept data have a format that this version does not know: a later version wrote them.

    Raised at the start, which it ends, and by calls of a process whose data were converted since.
    """

    title = "Unknown format"

    def __init__(self, data: str, found: str, newest: str) -> None:
        super().__init__(
            f"{data} has format {found}, and this version knows formats up to {newest}: nothing"
            " was done. Run the version that wrote it, or a later one (UPGRADE.md)",
            retry_after=30.0,
        )
