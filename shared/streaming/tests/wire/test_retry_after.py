import email.utils
import time

import pytest

from eddyline.wire.retry_after import retry_after


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("7", 7.0), ("0.5", 0.5), ("1e9", 1e9)])
def test_seconds_are_taken(text: str, seconds: float) -> None:
    assert retry_after(text) == seconds


def test_a_date_is_taken_and_one_that_is_past_means_now() -> None:
    ahead = retry_after(email.utils.formatdate(time.time() + 100, usegmt=True))
    assert ahead is not None
    assert 90 < ahead <= 100
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-1", "nan", *(f"Thu, 01 Jan {'9' * n} 00:00:00 GMT" for n in (5, 20))],
)
def test_anything_else_is_none(text: str) -> None:
    assert retry_after(text) is None
