"""`eddyline token show`: a token in words. It needs no key, and verifies nothing."""

import base64
import json
import os
import sys
import time
from typing import Annotated, Any

import typer

from eddyline.cli import exits
from eddyline.cli.output import json_line, say, span, table
from eddyline.cli.target import Json
from eddyline.errors import StreamingError

#: The requests that a scope allows; the guide on access has the same table.
ALLOWS = {
    "events:subscribe": "reading topics, their history and their names",
    "events:publish": "publishing",
    "events:presence": "seeing subscribers",
    "events:kick": "ending the streams of others",
    "downloads:read": "files, by path",
    "logs:read": "logs, by source",
    "chat:complete": "asking for answers",
    "records:read": "rows, by dataset",
}


def show(
    token: Annotated[
        str | None, typer.Argument(help="A JWT; `-`: standard input; none: EDDYLINE_TOKEN.")
    ] = None,
    as_json: Json = False,
) -> None:
    """A token in words: its subject, its end, and the requests that it allows."""

    def work() -> None:
        text = sys.stdin.read() if token == "-" else (token or os.environ.get("EDDYLINE_TOKEN", ""))
        claims = claims_of(text.strip())
        if as_json:
            json_line(claims)
            return
        table(["claim", "value"], [(name, _text(value)) for name, value in claims.items()])
        say(_end(claims.get("exp")))
        for scope in str(claims.get("scope", "")).split():
            say(f"{scope}: {_allowed(scope)}")
        say("The signature was not checked.", "dim")

    exits.guarded(work)


def claims_of(token: str) -> dict[str, Any]:
    """The payload of a JWT (RFC 7519 section 3), unverified; StreamingError for another text."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        claims = None
    if not isinstance(claims, dict):
        raise StreamingError("this is no JWT: expected three base64url parts between dots")
    return claims


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _end(expires: Any) -> str:
    if not isinstance(expires, int | float):
        return "It has no end: the services refuse it."
    left = expires - time.time()
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(expires))
    return f"It ends in {span(left)}, at {at}." if left > 0 else f"It ended {span(-left)} ago."


def _allowed(scope: str) -> str:
    service, _, rest = scope.partition(":")
    action, _, pattern = rest.partition(":")
    texts = [
        text
        for name, text in ALLOWS.items()
        if service in ("*", name.partition(":")[0]) and action in ("*", name.partition(":")[2])
    ]
    where = f" of {pattern}" if pattern and pattern != "*" else ""
    return "; ".join(texts) + where if texts else "nothing that is known here"
