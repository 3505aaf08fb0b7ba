"""A check of the way to a suite, and its finding."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import httpx

State = Literal["ok", "fault", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` tells the facts, and `fix`, of a fault, how to mend it."""

    check: str
    state: State
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """The suite that is looked at. `patience`: seconds after which a stream's first byte is late;
    `idle`: seconds for which a silent stream is watched.
    """

    url: str
    token: str | None
    origin: str | None
    patience: float
    idle: float
    client: httpx.AsyncClient = field(repr=False)

    def at(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{path}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


Check = Callable[[Case], Awaitable[Finding]]


def words_of(answer: httpx.Response) -> str:
    """The server's words for an error, or its status."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, TypeError, KeyError):
        return f"the answer is {answer.status_code}"
