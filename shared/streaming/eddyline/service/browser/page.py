"""A page that is one HTML file, under a policy that lets it load and run nothing else."""

import base64
import hashlib
import re
from typing import Final

from fastapi import Response


class HtmlPage:
    """`scripts` and `styles`: sources of CSP that the page may load from, beside its own text."""

    def __init__(self, text: str, scripts: str = "", styles: str = "") -> None:
        self.text = text
        self.headers: Final = {
            "Content-Security-Policy": (
                "default-src 'none'; connect-src 'self'; img-src data:;"
                f" script-src {' '.join([*self._hashes('script'), scripts]).strip()};"
                f" style-src {' '.join([*self._hashes('style'), styles]).strip()};"
                " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
        }

    def response(self) -> Response:
        return Response(self.text, media_type="text/html", headers=self.headers)

    def _hashes(self, tag: str) -> list[str]:
        found = re.findall(rf"<{tag}(?: [^>]*)?>(.*?)</{tag}>", self.text, re.DOTALL)
        digests = (hashlib.sha256(text.encode()).digest() for text in found)
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
