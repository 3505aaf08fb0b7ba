"""Columns of DuckDB as values of JSON: the policy of types, in SQL."""

import re
from dataclasses import dataclass

#: Types that DuckDB's own JSON has right. An integer beyond 64 bits is a text: few readers have it.
_PLAIN = re.compile(r"(BOOLEAN|U?TINYINT|U?SMALLINT|U?INTEGER|U?BIGINT|VARCHAR|JSON)(\[\d*\])*\Z")

#: In RFC 3339. Those without a zone have none: nothing tells which was meant.
_TIMES = {
    "TIMESTAMP": ("TIMESTAMP", "%Y-%m-%dT%H:%M:%S.%f"),
    "TIMESTAMP_S": ("TIMESTAMP", "%Y-%m-%dT%H:%M:%S.%f"),
    "TIMESTAMP_MS": ("TIMESTAMP", "%Y-%m-%dT%H:%M:%S.%f"),
    "TIMESTAMP_NS": ("TIMESTAMP_NS", "%Y-%m-%dT%H:%M:%S.%n"),
    "TIMESTAMP WITH TIME ZONE": ("TIMESTAMP WITH TIME ZONE", "%Y-%m-%dT%H:%M:%S.%fZ"),
}

_FLOATS = ("FLOAT", "DOUBLE")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str

    @property
    def is_float(self) -> bool:
        return self.type in _FLOATS

    def sql(self, *, texts: bool) -> str:
        """An expression whose JSON is right. `texts`: numbers that are not finite as texts, for a
        format that has a form for them; else they are null.
        """
        name = f"t.{quoted(self.name)}"
        if _PLAIN.match(self.type):
            return name
        if self.is_float:
            rest = f"to_json(CAST({name} AS VARCHAR))" if texts else "NULL"
            return f"CASE WHEN isfinite({name}) THEN to_json({name}) ELSE {rest} END"
        if self.type in _TIMES:
            kind, form = _TIMES[self.type]
            told = f"strftime(CAST({name} AS {kind}), '{form}')"
            return f"CASE WHEN isfinite({name}) THEN {told} ELSE CAST({name} AS VARCHAR) END"
        if self.type == "BLOB":
            return f"CASE WHEN {name} IS NOT NULL THEN {{'$base64': base64({name})}} END"
        # Decimals, dates, intervals, UUIDs; and nested values with any of the types above.
        return f"CAST({name} AS VARCHAR)"

    def value(self, found: object) -> object:
        """The value of a row from that of its JSON, where `sql` had texts."""
        return float(found) if self.is_float and isinstance(found, str) else found
