"""Options by the beginning of a topic: a file of namespaces, the longest prefix of which counts.

`EVENTS_NAMESPACES` names a TOML file; docs/guides/events.md documents its keys:

    ["orders/"]
    max_event_bytes = 4096
    history_count = 100
    presence = false
"""

import math
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from eddyline.errors import SettingsError, TooLarge
from eddyline.journal.base import Last, NewEntry, TopicBounds
from eddyline_events.hub.namespace import PATH


@dataclass(frozen=True, slots=True)
class _Kind:
    """The values that an option takes."""

    types: tuple[type, ...]
    expected: str
    fits: Callable[[Any], bool] = lambda value: True


_FLAG = _Kind((bool,), "true or false")
_WHOLE = _Kind((int,), "a whole number of 1 or more", lambda value: value >= 1)
_KINDS: Mapping[str, _Kind] = {
    "max_event_bytes": _Kind((int,), "a number of 0 or more", lambda value: value >= 0),
    "publish_rate": _Kind((int, float), "a number of 0 or more", lambda value: value >= 0),
    "presence": _FLAG,
    "history_count": _WHOLE,
    "history_bytes": _WHOLE,
    "anonymous": _FLAG,
    "last": _WHOLE,
    "history_age": _Kind((int, float), "a number of seconds above 0", lambda value: value > 0),
}


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the topics of one namespace; None is the setting of the whole hub.

    `max_event_bytes`: of an event's data. `publish_rate`: events a second and principal, counted
    apart from those of other namespaces; 0 is no limit. `presence`: whether its subscribers are
    told. `history_…`: the most that the journal retains of each topic, in events, bytes and
    seconds. `anonymous`: whether clients
    without a token read its public events; None: as EVENTS_ANONYMOUS says for Mercure. `last`: how
    many of the newest events a newcomer to a topic gets.
    """

    prefix: str = ""
    max_event_bytes: int | None = None
    publish_rate: float | None = None
    presence: bool = True
    history_count: int | None = None
    history_bytes: int | None = None
    history_age: float | None = None
    anonymous: bool | None = None
    last: int | None = None

    @property
    def history(self) -> TopicBounds | None:
        bounds = TopicBounds(self.history_count, self.history_bytes, self.history_age)
        return None if bounds == TopicBounds() else bounds

    @classmethod
    def parse(cls, prefix: str, table: Any, origin: str) -> Self:
        """Raises SettingsError, which names the key and its value."""
        where = f"{origin}: [{prefix!r}]"
        if not isinstance(table, dict):
            raise SettingsError(f'{where}: must be a table, as below ["orders/"]')
        for name, value in table.items():
            kind = _KINDS.get(name)
            if kind is None:
                known = ", ".join(_KINDS)
                raise SettingsError(f"{where} {name}: no such option; expected {known}")
            if type(value) not in kind.types or not kind.fits(value):
                raise SettingsError(f"{where} {name} = {value!r}: must be {kind.expected}")
        options = cls(prefix, **table)
        if options.last is not None and options.last > (options.history_count or 0):
            raise SettingsError(
                f"{where} last = {options.last}: must be at most history_count, the number of"
                " events that are retained"
            )
        return options


DEFAULT = Options()


class OpenTopics:
    """The topics whose public events a client without a token may read; never the hub's own."""

    def __init__(self, namespaces: "Namespaces", default: bool) -> None:
        self._namespaces = namespaces
        self._default = default

    def covers(self, topic: str) -> bool:
        says = self._namespaces.of(topic).anonymous
        return (self._default if says is None else says) and not topic.startswith(PATH)


class Namespaces:
    """All options; a topic of no namespace has the hub's settings."""

    def __init__(self, options: Sequence[Options] = ()) -> None:
        #: The longest prefix first.
        self._options = sorted(options, key=lambda each: -len(each.prefix))
        self._bounds = {each.prefix: each.history for each in options}
        self._open = {default: OpenTopics(self, default) for default in (False, True)}

    @classmethod
    def read(cls, path: Path | None, journal_age: float = math.inf) -> Self:
        """Raises SettingsError, which names the file and its fault.

        `journal_age`: seconds after which every event goes.
        """
        if path is None:
            return cls()
        origin = f"EVENTS_NAMESPACES={path}"
        try:
            tables = tomllib.loads(path.read_text())
        except OSError as error:
            raise SettingsError(f"{origin}: {error.strerror}") from None
        except ValueError as error:
            raise SettingsError(f"{origin}: {error}") from None
        found = [Options.parse(prefix, table, origin) for prefix, table in tables.items()]
        for each in found:
            if (each.history_age or 0) > journal_age:
                raise SettingsError(
                    f"{origin}: [{each.prefix!r}] history_age = {each.history_age!r}: no event is"
                    f" kept for longer than EVENTS_JOURNAL_AGE={journal_age:g}"
                )
        return cls(found)

    def of(self, topic: str) -> Options:
        return next((each for each in self._options if topic.startswith(each.prefix)), DEFAULT)

    def last(self, topics: Iterable[str]) -> Last | None:
        """The events of before that a newcomer to topics gets; None where it gets none."""
        counts = ((topic, self.of(topic).last) for topic in sorted(topics))
        return tuple((topic, count) for topic, count in counts if count) or None

    @property
    def bound_history(self) -> bool:
        """Whether any topic has bounds of its own."""
        return any(self._bounds.values())

    def bounds(self, topic: str) -> TopicBounds | None:
        """How much of a topic is retained; None: as much as the journal has room for."""
        return self._bounds.get(self.of(topic).prefix)

    def open(self, default: bool) -> OpenTopics | None:
        """The topics that are open to everyone; `default`: whether those are that no namespace is
        about. None where none of them is.
        """
        if default or any(each.anonymous for each in self._options):
            return self._open[default]
        return None

    def check(self, entry: NewEntry) -> None:
        """Raises TooLarge, which names the namespace."""
        if not self._options:
            return
        for topic in (entry.topic, *entry.alternates):
            options = self.of(topic)
            limit = options.max_event_bytes
            if limit is not None and len(entry.data.encode()) > limit:
                raise TooLarge(f"an event of the topics {options.prefix!r}… may have {limit} bytes")
