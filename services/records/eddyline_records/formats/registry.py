"""The formats that a client may ask for: another one is one more element here."""

from eddyline_records.formats.base import Format
from eddyline_records.formats.csv import CSV
from eddyline_records.formats.json import JSON, JSONL, NDJSON

#: By name. The first is that of a client that takes any.
FORMATS: dict[str, Format] = {format.name: format for format in (NDJSON, JSONL, JSON, CSV)}
