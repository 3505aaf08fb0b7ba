"""Reads the header `Retry-After`: when a server wants to be asked again."""

import time
from email.utils import parsedate_to_datetime


def retry_after(text: str) -> float | None:
    """Seconds from now, never negative; None where `text` is neither seconds nor a date.

    Fractions of a second are taken too, though RFC 9110 section 10.2.3 has whole ones only.
    """
    try:
        seconds = float(text)
    except ValueError:
        return _until(text)
    # A comparison that NaN fails.
    return seconds if seconds >= 0 else None


def _until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, OverflowError):  # a year of twenty digits is too large for a C int
        return None
