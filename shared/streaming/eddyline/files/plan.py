"""The answer to a request for a file, decided before a byte of it is read: a pure function."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from eddyline.files.dates import write_date
from eddyline.files.digests.fields import digest_field, representation_fields, takes
from eddyline.files.preconditions import Outcome, Preconditions
from eddyline.files.ranges import Range, UnsatisfiableRange, content_range, requested_ranges
from eddyline.files.version import CONTENT_TAG, FileVersion

_ASKED = {
    b"if-match": "if_match",
    b"if-unmodified-since": "if_unmodified_since",
    b"if-none-match": "if_none_match",
    b"if-modified-since": "if_modified_since",
    b"if-range": "if_range",
    b"range": "range",
    b"want-repr-digest": "want_repr_digest",
    b"want-content-digest": "want_content_digest",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`headers` are those that depend on the version and the request.

    `spans` are the bytes of the body, in their order. More than one is a `multipart/byteranges`,
    whose `ranges.Multipart` has the headers that are missing here. `wants_content_digest`: the
    client asks for the digest of these bytes, and `headers` has none.
    """

    status: int
    headers: dict[str, str]
    spans: Sequence[Range] = field(default=())
    wants_content_digest: bool = False


def plan(
    method: str, headers: Iterable[tuple[bytes, bytes]], version: FileVersion, now: float
) -> Plan:
    """The answer to a request: `headers` in lower case, `now` in Unix seconds.

    Methods other than GET and HEAD get the whole file: RFC 9110 defines ranges for GET alone
    (§14.2), and only their route knows the meaning of their conditions.
    """
    asked = _asked(headers)
    wanted = asked.pop("range", [])
    wants_repr = takes(asked.pop("want_repr_digest", []))
    wants_content = takes(asked.pop("want_content_digest", []))
    conditions = Preconditions(**asked)
    common = _common(version, conditions.tag(version, now), now)
    if method not in ("GET", "HEAD"):
        return _whole(version, common)
    match conditions.outcome(version, now):
        case Outcome.FAILED:
            return Plan(412, {**common, "content-length": "0"})
        case Outcome.NOT_MODIFIED:
            return Plan(304, {"etag": common["etag"]})
    # Two lines of Range are no valid field (§5.3): it is ignored, as an invalid one.
    if method == "GET" and len(wanted) == 1 and conditions.allows_part(version, now):
        made = _part(wanted[0], version, common)
    else:
        made = _whole(version, common, body=method == "GET")
    return _with_digests(made, version.sha256, wants_repr, wants_content)


def _with_digests(
    made: Plan, sha256: bytes | None, wants_repr: bool | None, wants_content: bool | None
) -> Plan:
    """Digests are those of the file and of the bytes of this answer (RFC 9530), not of an error."""
    digests: dict[str, str] = {}
    if sha256 is not None and made.status in (200, 206) and wants_repr is not False:
        digests |= representation_fields(sha256)
    if sha256 is not None and made.status == 200 and wants_content:
        digests["content-digest"] = digest_field(sha256)
    asks = bool(wants_content and made.spans) and "content-digest" not in digests
    return replace(made, headers={**made.headers, **digests}, wants_content_digest=asks)


def _asked(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    asked: dict[str, list[str]] = {}
    for name, value in headers:
        if (field_name := _ASKED.get(name)) is not None:
            asked.setdefault(field_name, []).append(value.decode("latin-1"))
    return asked


def depends_on_content(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether only the digest tells the answer: a condition names a version by its content, or the
    client asks for the digest itself.
    """
    asked = _asked(headers)
    wanted = asked.pop("want_repr_digest", []), asked.pop("want_content_digest", [])
    asked.pop("range", None)
    if any(map(takes, wanted)):
        return True
    return any(CONTENT_TAG in value for values in asked.values() for value in values)


def _common(version: FileVersion, etag: str, now: float) -> dict[str, str]:
    common = {"accept-ranges": "bytes", "etag": etag}
    modified = version.last_modified(now)
    if modified is not None:
        common["last-modified"] = write_date(modified)
    return common


def _whole(version: FileVersion, common: dict[str, str], *, body: bool = True) -> Plan:
    spans = [(0, version.size)] if body and version.size else []
    return Plan(200, {**common, "content-length": str(version.size)}, spans)


def _part(wanted: str, version: FileVersion, common: dict[str, str]) -> Plan:
    size = version.size
    try:
        spans = requested_ranges(wanted, size)
    except UnsatisfiableRange:
        # No body: clients that resume have added it to their file (curl before 7.43).
        headers = {"content-range": f"bytes */{size}", "content-length": "0"}
        return Plan(416, {**common, **headers})
    if not spans:
        return _whole(version, common)
    if len(spans) > 1:
        return Plan(206, common, spans)
    start, end = spans[0]
    headers = {
        "content-range": content_range((start, end), size),
        "content-length": f"{end - start}",
    }
    return Plan(206, {**common, **headers}, spans)
