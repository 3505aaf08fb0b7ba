"""Preconditions of a request for a file, in the order of RFC 9110 §13.2.2."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from eddyline.files.dates import read_date
from eddyline.files.version import FileVersion

#: One element of a list of entity tags, which may be empty (§5.6.1), with the comma after it.
_ELEMENT = re.compile(r'[ \t]*(?:((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(,|\Z)')


class Outcome(Enum):
    PROCEED = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The values of each conditional header field of a request: one for each line of it."""

    if_match: Sequence[str] = ()
    if_unmodified_since: Sequence[str] = ()
    if_none_match: Sequence[str] = ()
    if_modified_since: Sequence[str] = ()
    if_range: Sequence[str] = ()

    def outcome(self, version: FileVersion, now: float) -> Outcome:
        """Of a GET or a HEAD, at `now` in Unix seconds; `If-Range` is not asked."""
        if self.if_match:
            if not _matches(self.if_match, version.tags(now), weakly=False):
                return Outcome.FAILED
        elif self._is_modified(version, now):
            return Outcome.FAILED
        if self.if_none_match:
            if _matches(self.if_none_match, version.tags(now), weakly=True):
                return Outcome.NOT_MODIFIED
        elif self._is_unmodified(version, now):
            return Outcome.NOT_MODIFIED
        return Outcome.PROCEED

    def tag(self, version: FileVersion, now: float) -> str:
        """The tag for the answer: the one by which the client knows the version, where it has one.

        It may join the answer with a part that has the same tag only (§15.3.7.3).
        """
        asked = " ".join((*self.if_range, *self.if_match, *self.if_none_match))
        tags = version.tags(now)
        return next((tag for tag in tags if tag in asked), tags[0])

    def _is_modified(self, version: FileVersion, now: float) -> bool:
        """Whether there is a write after the date of `If-Unmodified-Since` (§13.1.4)."""
        date, told = _only_date(self.if_unmodified_since, now), version.last_modified(now)
        # A version whose date is not told is judged by it all the same.
        return date is not None and date < (version.modified // 10**9 if told is None else told)

    def _is_unmodified(self, version: FileVersion, now: float) -> bool:
        """Whether there is none after the date of `If-Modified-Since` (§13.1.3)."""
        date, modified = _only_date(self.if_modified_since, now), version.last_modified(now)
        # A date of the future would hide each write until then.
        return date is not None and modified is not None and modified <= date <= now

    def allows_part(self, version: FileVersion, now: float) -> bool:
        """Whether a range may be sent: not beside bytes of another version that the client has.

        `If-Range` takes a strong tag, or a date that is a strong validator (§13.1.5). A date of
        `If-Unmodified-Since` that is none does not fail the request (§13.1.4). The range is
        ignored then, which §14.2 allows at any time.
        """
        if self.if_range:
            return len(self.if_range) == 1 and self._is_version(self.if_range[0], version, now)
        if self.if_match or (date := _only_date(self.if_unmodified_since, now)) is None:
            return True
        return version.changed // 10**9 <= date

    @staticmethod
    def _is_version(validator: str, version: FileVersion, now: float) -> bool:
        validator = validator.strip(" \t")
        if validator.startswith('"'):
            return validator in version.tags(now)
        date = read_date(validator, now)
        fresh = version.last_modified(now) is None
        return date is not None and not fresh and version.is_dated(date)


def _matches(lines: Sequence[str], tags: Sequence[str], *, weakly: bool) -> bool:
    """Whether a list of entity tags, or `*`, has a tag of a file that is there (§8.8.3.2).

    A list that is malformed matches nothing: then the file is sent, or the request has failed.
    """
    value = ", ".join(lines).strip(" \t")
    if value == "*":
        return True
    asked = _tags(value)
    if weakly:
        opaque = {tag.removeprefix("W/") for tag in asked}
        return any(tag.removeprefix("W/") in opaque for tag in tags)
    return any(tag in asked for tag in tags if not tag.startswith("W/"))


def _tags(value: str) -> list[str]:
    tags, at = [], 0
    while True:
        match = _ELEMENT.match(value, at)
        if match is None:
            return []
        if match[1]:
            tags.append(match[1])
        if not match[2]:
            return tags
        at = match.end()


def _only_date(lines: Sequence[str], now: float) -> int | None:
    return read_date(lines[0], now) if len(lines) == 1 else None
