"""Cursors: places among the rows of a dataset, which a client can keep but not make.

A cursor is bound to the dataset's version and to the question that was asked: after it, no rows of
another table go on in the middle of those that the client has.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from eddyline.errors import BadCursor, Conflict
from eddyline.journal.cursor import sign, verify
from eddyline_records.sources.base import Condition, Key

#: Characters of a cursor: it has to go into a request's target.
LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Question:
    """The part of a request that all pages of its rows share; `version` is the dataset's."""

    dataset: str
    version: str
    columns: tuple[str, ...]
    where: tuple[Condition, ...] = ()
    descending: bool = False

    @property
    def digest(self) -> str:
        conditions = sorted(map(str, self.where))
        text = orjson.dumps([self.dataset, self.columns, conditions, self.descending])
        return hashlib.sha256(text).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Place:
    """The key of the last row that a client has, if any, and that of the last row it will get.

    `state`: that of the dataset when that row was read, where the source can tell.
    """

    after: Key | None
    until: Key
    state: str | None = None


class Cursors:
    """Places as texts. All processes with the same `secret` take each other's."""

    def __init__(self, secret: bytes) -> None:
        # Of its own: a cursor must be nothing that another signature of this secret signs.
        self._key = hashlib.sha256(b"eddyline.records.cursor\0" + secret).digest()

    def text(self, question: Question, place: Place) -> str | None:
        """None: the keys are too long for a URL."""
        ends = [None if place.after is None else _plain(place.after), _plain(place.until)]
        text = sign([question.version, question.digest, *ends, place.state], self._key)
        return text if len(text) <= LONGEST else None

    def place(self, question: Question, text: str) -> Place:
        """Raises BadCursor for a text that `text` did not make for this question; Conflict where
        the dataset has another version now.
        """
        version, digest, after, until, state = _checked(verify(text, self._key))
        if digest != question.digest:
            raise BadCursor(
                f"the cursor {text[:80]!r} is of another request: repeat its dataset and all its"
                " parameters but limit, format and framed"
            )
        if version != question.version:
            raise Conflict(
                f"the dataset {question.dataset!r} was replaced since: its version is"
                f" {question.version}, and the cursor is of {version}; begin again without it"
            )
        return Place(None if after is None else _key(after), _key(until), state)


def _checked(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) != 5:
        raise BadCursor("the cursor is of another version of this service")
    return value


def _plain(key: Key) -> list[Any]:
    """A key in values of JSON, with their types: the number 1 is another key than the text '1'."""
    return [
        {"b": base64.b64encode(part).decode()}
        if isinstance(part, bytes)
        else {"f": part.hex()}
        if isinstance(part, float)
        else part
        for part in key
    ]


def _key(plain: Sequence[Any]) -> Key:
    return tuple(_part(part) for part in plain)


def _part(plain: Any) -> Any:
    if isinstance(plain, dict):
        return base64.b64decode(plain["b"]) if "b" in plain else float.fromhex(plain["f"])
    return plain
