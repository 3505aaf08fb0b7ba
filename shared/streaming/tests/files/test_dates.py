import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline.files.dates import read_date, write_date

NOW = 1_700_000_000.0
#: The instant of the examples in RFC 9110 §5.6.7.
EXAMPLE = 784111777


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        " Sun, 06 Nov 1994 08:49:37 GMT\t",
    ],
)
def test_all_three_forms_are_read(text: str) -> None:
    assert read_date(text, NOW) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "0",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        f"Wed, 01 Jan {'9' * 20} 00:00:00 GMT",
        "1 Jan 2023 00:00:00 +99999999999999999999",
        "Sun, ０6 Nov 1994 08:49:37 GMT",
    ],
)
def test_any_other_text_is_no_date(text: str) -> None:
    assert read_date(text, NOW) is None


def test_two_digits_are_a_year_of_the_past_where_they_seem_far_ahead() -> None:
    """RFC 9110 §5.6.7: more than 50 years in the future."""
    assert read_date("Monday, 01-Jan-73 00:00:00 GMT", NOW) == 3250454400
    assert read_date("Tuesday, 01-Jan-74 00:00:00 GMT", NOW) == 126230400


def test_a_leap_second_is_a_second() -> None:
    assert read_date("Sat, 31 Dec 2016 23:59:60 GMT", NOW) == 1483228799


@given(st.integers(0, 253402300799))
def test_a_date_that_was_written_is_read(seconds: int) -> None:
    assert read_date(write_date(seconds), NOW) == seconds


@given(st.text(max_size=40))
def test_no_text_is_an_error(text: str) -> None:
    read_date(text, NOW)
