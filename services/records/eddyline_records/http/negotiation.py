"""The representation that a client gets: by its header lines (RFC 9110 section 12), or as it asks
by name.
"""

from collections.abc import Iterable

from eddyline.errors import NotAcceptable
from eddyline_records.bodies.compressed import CODINGS
from eddyline_records.formats.base import Format
from eddyline_records.formats.registry import FORMATS


def negotiated(accept: str | None) -> tuple[Format, str]:
    """The format for an `Accept`, with the media type of the answer; raises NotAcceptable."""
    ranges = _weights(accept or "*/*")
    offered = [(format, media) for format in FORMATS.values() for media in format.media_types]
    weighed = [(_weight(ranges, media), format, media) for format, media in offered]
    weight, format, media = max(weighed, key=lambda each: each[0])  # the first of equal ones
    if weight == 0:
        known = ", ".join(media for _, media in offered)
        raise NotAcceptable(f"Accept: {(accept or '')[:200]!r} takes none of {known}")
    return format, media


def coding(accept: str | None) -> str | None:
    """The content coding for an `Accept-Encoding`; None: as it is (RFC 9110 section 12.5.3)."""
    weights = dict(_weights(accept or ""))
    rest = weights.get("*", 0.0)
    weighed = [(weights.get(name, rest), name) for name in CODINGS]
    weight, name = max(weighed, key=lambda each: each[0])
    return name if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weight(ranges: Iterable[tuple[str, float]], media: str) -> float:
    """That of the most specific range that the media type lies in."""
    kind = media.partition("/")[0]
    found = dict(ranges)
    for name in (media, f"{kind}/*", "*/*"):
        if name in found:
            return found[name]
    return 0.0


def _weights(header: str) -> list[tuple[str, float]]:
    """Names and their weights (RFC 9110 section 12.4.2); parameters of other names are ignored."""
    weights: list[tuple[str, float]] = []
    for element in header.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        values = [p.removeprefix("q=") for p in parameters if p.startswith("q=")]
        try:
            weight = float(values[0]) if values else 1.0
        except ValueError:
            weight = 0.0
        if name:
            weights.append((name, weight if 0 <= weight <= 1 else 0.0))
    return weights
