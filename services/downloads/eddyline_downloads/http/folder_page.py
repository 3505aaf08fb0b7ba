"""A folder as HTML for people, pip and fsspec, as text, and as JSON."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from html import escape
from time import time
from urllib.parse import quote

import orjson
from fastapi import Request, Response

from eddyline.errors import NotAcceptable
from eddyline_downloads.http.folders import Entry, Folder
from eddyline_downloads.http.media import media_type

#: No script runs, and nothing is loaded.
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Vary": "Accept, Authorization",
    "X-Content-Type-Options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; }} td {{ padding: 0 1.5rem 0 0; white-space: nowrap; }}
td + td {{ font-variant-numeric: tabular-nums; text-align: right; }}
td code {{ font-size: .75rem; }}
</style></head><body><h1>{title}</h1>
<table>
{rows}
</table>{more}</body></html>
"""


def folder_response(request: Request, folder: Folder, *, private: bool) -> Response:
    """The folder in the form that the client accepts, HTML by default; raises NotAcceptable."""
    media = _accepted(request.headers.get("accept", "*/*"))
    headers = dict(_HEADERS)
    if private:
        headers["Cache-Control"] = "private, no-cache"
    return Response(_FORMS[media](folder), media_type=media, headers=headers)


def _html(folder: Folder) -> bytes:
    rows = ['<tr><td><a href="../">../</a></td></tr>'] if folder.path else []
    rows += [_row(entry) for entry in folder.entries]
    more = ""
    if folder.cursor is not None:
        more = f'\n<p><a rel="next" href="?cursor={quote(folder.cursor, safe="")}">more</a></p>'
    title = escape("/" + folder.path)
    return _PAGE.format(title=title, rows="\n".join(rows), more=more).encode()


def _row(entry: Entry) -> str:
    version, link = entry.version, quote(entry.name)
    if version is None:
        return f'<tr><td><a href="{link}">{escape(entry.name)}</a></td></tr>'
    digest = version.sha256.hex() if version.sha256 is not None else ""
    # pip checks its download against the digest in the link.
    link += f"#sha256={digest}" if digest and entry.name.endswith(".whl") else ""
    return (
        f'<tr><td><a href="{link}">{escape(entry.name)}</a></td><td>{version.size}</td>'
        f"<td>{date_of(version.modified) or ''}</td><td><code>{digest}</code></td></tr>"
    )


def _text(folder: Folder) -> bytes:
    return "".join(f"{entry.name}\n" for entry in folder.entries).encode()


def _json(folder: Folder) -> bytes:
    now = time()
    entries: list[dict[str, object]] = []
    for entry in folder.entries:
        version = entry.version
        described: dict[str, object] = {"name": entry.name}
        if version is not None:
            described |= {
                "size": version.size,
                "modified": date_of(version.modified),
                "etag": version.etag(now),
                "sha256": version.sha256.hex() if version.sha256 is not None else None,
                "media_type": media_type(entry.name),
            }
        entries.append(described)
    answer = {"folder": folder.path, "entries": entries, "cursor": folder.cursor}
    return orjson.dumps(answer)


_FORMS: Mapping[str, Callable[[Folder], bytes]] = {
    "text/html": _html,
    "application/json": _json,
    "text/plain": _text,
}


def _accepted(accept: str) -> str:
    """RFC 9110 §12.5.1: the form of the most weight, and the first of equal ones."""
    ranges = dict(_range(element) for element in accept.lower().split(",") if element.strip())

    def weight(media: str) -> float:
        kind = media.partition("/")[0]
        return next((ranges[n] for n in (media, f"{kind}/*", "*/*") if n in ranges), 0.0)

    media = max(_FORMS, key=weight)
    if weight(media) == 0:
        raise NotAcceptable(f"Accept: {accept[:200]!r} takes none of {', '.join(_FORMS)}")
    return media


def _range(element: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in element.split(";"))
    given = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        weight = float(given)
    except ValueError:
        weight = 0.0
    return name, weight if 0 <= weight <= 1 else 0.0


def date_of(nanoseconds: int) -> str | None:
    """The date in ISO 8601; None for one that cannot be written, such as one of the year 10000."""
    try:
        return datetime.fromtimestamp(nanoseconds / 10**9, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None
