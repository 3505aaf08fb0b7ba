"""Options by the beginning of a topic: a file of namespaces, the longest prefix of which counts.

`EVENTS_NAMESPACES` names a TOML file; docs/guides/events.md documents its keys:

    ["orders/"]
    max_event_bytes = 4096
    publish_rate = 10
    presence = false
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from eddyline.errors import SettingsError, TooLarge
from eddyline.journal.base import NewEntry

_KINDS = {"max_event_bytes": (int,), "publish_rate": (int, float), "presence": (bool,)}


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the topics of one namespace; None is the setting of the whole hub.

    `max_event_bytes`: of an event's data. `publish_rate`: events a second and principal, counted
    apart from those of other namespaces; 0 is no limit. `presence`: whether its subscribers are
    told.
    """

    prefix: str = ""
    max_event_bytes: int | None = None
    publish_rate: float | None = None
    presence: bool = True

    @classmethod
    def parse(cls, prefix: str, table: Any, origin: str) -> Self:
        """Raises SettingsError, which names the key and its value."""
        where = f"{origin}: [{prefix!r}]"
        if not isinstance(table, dict):
            raise SettingsError(f'{where}: must be a table, as below ["orders/"]')
        for name, value in table.items():
            kinds = _KINDS.get(name)
            if kinds is None:
                known = ", ".join(_KINDS)
                raise SettingsError(f"{where} {name}: no such option; expected {known}")
            if type(value) not in kinds or value < 0:
                expected = "true or false" if bool in kinds else "a number of 0 or more"
                raise SettingsError(f"{where} {name} = {value!r}: must be {expected}")
        return cls(prefix, **table)


DEFAULT = Options()


class Namespaces:
    """All options; a topic of no namespace has the hub's settings."""

    def __init__(self, options: Sequence[Options] = ()) -> None:
        #: The longest prefix first.
        self._options = sorted(options, key=lambda each: -len(each.prefix))

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Raises SettingsError, which names the file and its fault."""
        if path is None:
            return cls()
        origin = f"EVENTS_NAMESPACES={path}"
        try:
            tables = tomllib.loads(path.read_text())
        except OSError as error:
            raise SettingsError(f"{origin}: {error.strerror}") from None
        except ValueError as error:
            raise SettingsError(f"{origin}: {error}") from None
        return cls([Options.parse(prefix, table, origin) for prefix, table in tables.items()])

    def of(self, topic: str) -> Options:
        return next((each for each in self._options if topic.startswith(each.prefix)), DEFAULT)

    def check(self, entry: NewEntry) -> None:
        """Raises TooLarge, which names the namespace."""
        if not self._options:
            return
        for topic in (entry.topic, *entry.alternates):
            options = self.of(topic)
            limit = options.max_event_bytes
            if limit is not None and len(entry.data.encode()) > limit:
                raise TooLarge(f"an event of the topics {options.prefix!r}… may have {limit} bytes")
