"""Dates of HTTP (RFC 9110 §5.6.7): read in all three forms, written in the preferred one."""

import re
from datetime import UTC, datetime
from email.utils import formatdate

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"

_FORMS = tuple(
    re.compile(form)
    for form in (
        # IMF-fixdate, then the obsolete forms: that of RFC 850, and that of C's asctime.
        f"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        f"[A-Z][a-z]+day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        f"{_DAY} {_MONTH} (?P<day>[0-9 ][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def read_date(text: str, now: float) -> int | None:
    """The Unix seconds of an HTTP-date; None for any other text.

    `now`, in Unix seconds, tells the century of a year of two digits.
    """
    match = next((m for form in _FORMS if (m := form.fullmatch(text.strip(" \t")))), None)
    if match is None:
        return None
    year, day, hour, minute, second = (
        int(match[name]) for name in ("year", "day", "hour", "minute", "second")
    )
    if len(match["year"]) == 2:
        year = _in_full(year, now)
    month = _MONTHS.index(match["month"]) + 1
    try:
        # 60 is a leap second, which Unix time does not have.
        date = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return int(date.timestamp()) if second <= 60 else None


def _in_full(year: int, now: float) -> int:
    """A year that seems to be more than 50 years ahead is one of the past."""
    this = datetime.fromtimestamp(now, UTC).year
    full = this - this % 100 + year
    return full - 100 if full > this + 50 else full


def write_date(seconds: int) -> str:
    """`seconds` is a Unix time within the years 1 to 9999."""
    return formatdate(seconds, usegmt=True)
