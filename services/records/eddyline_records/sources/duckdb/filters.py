"""Conditions in DuckDB's SQL."""

from collections.abc import Sequence
from typing import Any

from eddyline.errors import BadRequest
from eddyline_records.sources.base import Condition
from eddyline_records.sources.duckdb.columns import quoted

_SIGNS = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


def filters(cursor: Any, conditions: Sequence[Condition], types: dict[str, str]) -> str:
    """A WHERE clause, or nothing; raises BadRequest for a value that its column cannot have."""
    found = [_condition(cursor, each, types[each.column]) for each in conditions]
    return f"WHERE {' AND '.join(found)}" if found else ""


def _condition(cursor: Any, condition: Condition, kind: str) -> str:
    name = f"t.{quoted(condition.column)}"
    if condition.op == "null":
        return f"{name} IS {'NULL' if condition.flag() else 'NOT NULL'}"
    if condition.op == "prefix":
        if kind != "VARCHAR":
            raise BadRequest(f"{condition}: only a column of texts has prefixes")
        return f"starts_with({name}, {_literal(condition.value)})"
    if condition.op == "in":
        values = ", ".join(_value(cursor, condition, text, kind) for text in condition.texts())
        return f"{name} IN ({values})"
    return f"{name} {_SIGNS[condition.op]} {_value(cursor, condition, condition.value, kind)}"


def _value(cursor: Any, condition: Condition, text: str, kind: str) -> str:
    value = f"CAST({_literal(text)} AS {kind})"
    import duckdb

    try:
        cursor.execute(f"SELECT {value}").fetchall()
    except duckdb.Error:
        raise BadRequest(f"{condition}: {text[:80]!r} is no {kind}") from None
    return value


def _literal(text: str) -> str:
    if "\0" in text:
        raise BadRequest(f"{text[:80]!r} has a NUL, which no text of DuckDB has")
    return "'" + text.replace("'", "''") + "'"
