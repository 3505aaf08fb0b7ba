"""Every answer that a test of a service gets is one that the OpenAPI document of the app knows."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

#: Answers that any operation may give, and a document would only grow by: a method that there is
#: none of, and a crash.
ALWAYS = {405, 500}

#: The media type of a file is its own.
ANY = "application/octet-stream"


@pytest.fixture(autouse=True)
def documented(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    seen: list[tuple[FastAPI, str, str, int, str]] = []
    call = FastAPI.__call__

    async def spied(app: FastAPI, scope: Scope, receive: Receive, send: Send) -> None:
        async def look(message: Message) -> None:
            if message["type"] == "http.response.start":
                kinds = [v for n, v in message.get("headers", []) if n.lower() == b"content-type"]
                kind = kinds[0].decode().partition(";")[0] if kinds else ""
                seen.append((app, scope["method"], scope["path"], message["status"], kind))
            await send(message)

        await call(app, scope, receive, look)

    monkeypatch.setattr(FastAPI, "__call__", spied)
    yield
    surprises = [answer[1:] for answer in dict.fromkeys(seen) if not _is_known(*answer)]
    assert not surprises, "missing in the `responses` of a route; errors come by `problems(…)`"


def _is_known(app: FastAPI, method: str, path: str, status: int, kind: str) -> bool:
    operation = _operation(app.openapi(), "GET" if method == "HEAD" else method, path)
    if operation is None or status in ALWAYS:
        return True
    response = operation["responses"].get(str(status))
    if response is None:
        return False
    kinds = response.get("content", {})
    return not kind or kind in kinds or ANY in kinds or method == "HEAD"


def _operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    for template, item in document["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(template)), path):
            operation: dict[str, Any] | None = item.get(method.lower())
            if operation is not None:
                return operation
    return None
