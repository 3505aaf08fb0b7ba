"""Headers of a file that its path and the settings tell."""

from typing import Literal

from eddyline.auth.principal import matches
from eddyline_downloads.http.media import content_disposition
from eddyline_downloads.settings import DownloadsSettings

Kind = Literal["attachment", "inline"]

#: Seconds of a year, the longest time that caches know (RFC 9111 §1.2.2).
YEAR = 31_536_000


class FileHeaders:
    """`private`: a token is asked for, so that no shared cache may give the file to others."""

    def __init__(self, settings: DownloadsSettings, *, private: bool) -> None:
        self._immutable = settings.immutable
        self._scripts = settings.scripts
        self._private = "private, " if private else ""

    def of(self, kind: Kind, path: str, media: str) -> dict[str, str]:
        headers = {
            "Cache-Control": self._cache_control(path),
            "Content-Disposition": content_disposition(kind, path),
            "X-Content-Type-Options": "nosniff",
        }
        # PDFs have no scripts that matter here, and browsers show none in a sandbox.
        if kind == "inline" and media != "application/pdf":
            headers["Content-Security-Policy"] = self._sandbox(path)
        return headers

    def _cache_control(self, path: str) -> str:
        if _is_one_of(path, self._immutable):
            return f"{self._private}max-age={YEAR}, immutable"
        # Without it browsers guess, and show an old version without a question (RFC 9111 §4.2.2).
        return f"{self._private}no-cache"

    def _sandbox(self, path: str) -> str:
        """A page or an SVG would run its scripts with the rights of this origin. Those that may run
        have an origin of their own, which no other page shares.
        """
        return "sandbox allow-scripts" if _is_one_of(path, self._scripts) else "sandbox"


def _is_one_of(path: str, patterns: tuple[str, ...]) -> bool:
    return any(matches(pattern, path) for pattern in patterns)
