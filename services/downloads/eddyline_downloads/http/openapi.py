"""The parts of the OpenAPI document that FastAPI cannot tell from the routes."""

from typing import Any

from typing_extensions import TypedDict

from eddyline.errors import BadRequest, Gone, NotFound
from eddyline.service.openapi.operation import ADMISSION, Responses, parameter, problems
from eddyline_downloads.http.media import BINARY


class FileInfo(TypedDict):
    """`size` is in bytes; `modified` is in ISO 8601, and null for a date that this cannot write.

    `sha256` is in hex, and null until it is known: it is computed when the file is asked for.
    """

    path: str
    size: int
    modified: str | None
    etag: str
    sha256: str | None
    media_type: str


class FileList(TypedDict):
    """`cursor` asks for the next part, and is null at the end."""

    files: list[FileInfo]
    cursor: str | None


class Small(TypedDict):
    data: list[int]


_BYTES = {BINARY: {"schema": {"type": "string", "format": "binary"}}}

CHUNKS: Responses = {200: {"content": _BYTES}, **ADMISSION}
FILE: Responses = {
    200: {"description": "The file, of its own media type", "content": _BYTES},
    204: {"description": "By an offset: nothing came in time"},
    206: {"description": "The ranges that were asked for", "content": _BYTES},
    304: {"description": "The file is the one that the client has"},
    412: {"description": "The file is another one than the client asks for"},
    416: {"description": "All ranges lie outside the file"},
    **problems(BadRequest, NotFound, Gone),
    **ADMISSION,
}
SUMS: Responses = {
    200: {
        "description": "A line for each file: the digest in hex, two spaces, the path",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    **problems(BadRequest, NotFound),
    **ADMISSION,
}
FOLDER: dict[str, Any] = {
    "parameters": [
        parameter("path", {"type": "string"}, "A folder of the store.", "path", required=True)
    ]
}
RANGES: dict[str, Any] = {
    "parameters": [
        parameter(
            "cursor",
            {"type": "string"},
            "Of a folder: the next part of its list. With `offset`: the last `Stream-Cursor`.",
        ),
        parameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000},
            "Of a folder: the most entries of an answer.",
        ),
        parameter(
            "offset",
            {"type": "string"},
            "Read the file as a durable stream of bytes: `-1`, `now`, or an offset of an answer.",
        ),
        parameter("live", {"enum": ["long-poll", "sse"]}, "With `offset`: waits for growth."),
        parameter("Range", {"type": "string"}, "Parts of the file: `bytes=1000-`.", "header"),
        parameter(
            "If-Range",
            {"type": "string"},
            "The `ETag` of the parts that are there: if the file is another, all of it is sent.",
            "header",
        ),
        parameter(
            "If-Match",
            {"type": "string"},
            "`ETag`s of the file that is wanted: if it is another, the answer is 412.",
            "header",
        ),
        parameter(
            "If-None-Match",
            {"type": "string"},
            "`ETag`s of files that the client has: if it is one of them, the answer is 304.",
            "header",
        ),
        parameter(
            "Want-Repr-Digest",
            {"type": "string"},
            "`sha-256=1`: the answer waits for the file's digest (RFC 9530); `sha-256=0`: none.",
            "header",
        ),
        parameter(
            "Want-Content-Digest",
            {"type": "string"},
            "`sha-256=1`: the digest of this answer's bytes, too, if they are few or all.",
            "header",
        ),
    ]
}
LINKED: dict[str, Any] = {
    "parameters": [
        parameter("link", {"type": "string"}, "The signed link.", "path", required=True),
        parameter("path", {"type": "string"}, "A file of the link.", "path", required=True),
        *RANGES["parameters"],
    ],
    "security": [],
}
