"""Conditions on the columns of a table, in SQL: they find rows as the database compares them."""

from collections.abc import Sequence

from eddyline.errors import BadRequest
from eddyline_records.sources.base import Condition
from eddyline_records.sources.sqlite.tables.table import Column, quoted
from eddyline_records.sources.sqlite.tables.values import NUMBER, TEXT, key_of

_SIGNS = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

#: The storage classes of values that a text of a URL can be compared with. A column of any type may
#: hold any value, and SQLite takes every text for greater than every number.
_CLASSES = {NUMBER: "('integer', 'real')", TEXT: "('text')"}

#: The greatest code point, and those that no text has (RFC 3629 section 3).
_LAST, _SURROGATES = 0x10FFFF, range(0xD800, 0xE000)


def filter_type(column: Column) -> str | None:
    """The type of the values that can be asked for, by the affinity of the column (datatype3.html,
    3.1); None: any value may be in it, and no text tells which is meant.
    """
    declared = column.type.upper()
    if "INT" in declared:
        return NUMBER
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return TEXT
    return None if declared in ("", "ANY") or "BLOB" in declared else NUMBER


class Filters:
    """Conditions as SQL, with the values that are bound to it; raises BadRequest for a value that
    its column cannot have.
    """

    def __init__(self, conditions: Sequence[Condition], types: dict[str, str]) -> None:
        self.values: dict[str, object] = {}
        self._texts = [self._text(each, types[each.column]) for each in conditions]

    def sql(self, *, by_index: bool) -> list[str]:
        """`by_index`: SQLite may take an index of theirs, and sort the rows by the key then."""
        # sqlite.org/optoverview.html, "Disqualifying WHERE-clause terms using unary +".
        return [text.replace("\0", "" if by_index else "+") for text in self._texts]

    def _text(self, condition: Condition, kind: str) -> str:
        plain = f"t.{quoted(condition.column)}"
        name = f"\0{plain}"
        if condition.op == "null":
            return f"{name} IS {'NULL' if condition.flag() else 'NOT NULL'}"
        if condition.op == "prefix":
            return f"({self._prefix(condition, name, kind)})"
        if condition.op == "in":
            bound = ", ".join(self._bind(condition, text, kind) for text in condition.texts())
            return f"({name} IN ({bound}) AND typeof({plain}) IN {_CLASSES[kind]})"
        compared = f"{name} {_SIGNS[condition.op]} {self._bind(condition, condition.value, kind)}"
        if condition.op == "ne":
            return compared
        return f"({compared} AND typeof({plain}) IN {_CLASSES[kind]})"

    def _prefix(self, condition: Condition, name: str, kind: str) -> str:
        if kind != TEXT:
            raise BadRequest(f"{condition}: only a column of texts has prefixes")
        name = f"{name} COLLATE BINARY"
        conditions = [f"{name} >= {self._bind(condition, condition.value, TEXT)}"]
        end = after_prefix(condition.value)
        # Every blob is greater than every text.
        conditions.append(
            f"{name} < {self._bind(condition, end, TEXT)}" if end else f"{name} < x''"
        )
        return " AND ".join(conditions)

    def _bind(self, condition: Condition, text: str, kind: str) -> str:
        try:
            value = key_of(kind, text)
        except ValueError:
            raise BadRequest(f"{condition}: {text[:80]!r} is no {kind}") from None
        name = f"where{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def after_prefix(prefix: str) -> str:
    """The least text that is greater than all that begin with the prefix; empty: there is none."""
    for at in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[at]) + 1
        if point in _SURROGATES:
            point = _SURROGATES.stop
        if point <= _LAST:
            return prefix[:at] + chr(point)
    return ""
