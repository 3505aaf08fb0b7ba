"""Values of keys of a SQLite table, as texts of a URL."""

import base64
import binascii
import math
import re
from typing import Any

#: The type of an INTEGER PRIMARY KEY. Those of other keys are told by the values that are stored,
#: because a column of any type may hold any value (https://www.sqlite.org/datatype3.html).
ROWID = "INTEGER"
NUMBER = "number"
TEXT = "text"
BLOB = "blob in base64"

#: The type of a key of several columns, of which no text of a URL is one.
SEVERAL = "several columns, which `cursor` alone can tell"

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_REAL = re.compile(r"-?(inf|(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?)")

#: Integers that SQLite can compare with an integer key.
_INTEGERS = range(-(2**63), 2**63)


def key_of(key_type: str, text: str) -> Any:
    """The value that a text is; raises ValueError. It is compared as the stored values are: SQLite
    takes every text for greater than every number.
    """
    if key_type == TEXT:
        return text
    if key_type == BLOB:
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
    if key_type in (ROWID, NUMBER) and _INTEGER.fullmatch(text):
        # int() of thousands of digits is slow.
        return _INTEGERS[_INTEGERS.index(int(text[:32]))]
    if key_type == NUMBER and _REAL.fullmatch(text):
        value = float(text)
        if math.isinf(value) and "inf" not in text:
            raise ValueError("it is too large")
        return value
    raise ValueError(f"it is no {key_type}")
