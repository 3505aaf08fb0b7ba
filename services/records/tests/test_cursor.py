import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline.errors import BadCursor, Conflict
from eddyline_records.cursor import LONGEST, Cursors, Place, Question

CURSORS = Cursors(b"secret")
ASKED = Question("things", "v1", ("id", "name"))

PARTS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
)
KEYS = st.lists(PARTS, min_size=1, max_size=3).map(tuple)


@given(KEYS, KEYS)
def test_a_place_comes_back_as_it_was_with_the_types_of_its_values(
    after: object, until: object
) -> None:
    place = Place(after, until)  # type: ignore[arg-type]
    text = CURSORS.text(ASKED, place)
    assert text is not None
    back = CURSORS.place(ASKED, text)
    assert back == place
    assert [*map(type, back.after), *map(type, back.until)] == [
        *map(type, place.after),
        *map(type, place.until),
    ]


def test_a_cursor_that_was_changed_or_made_elsewhere_is_refused() -> None:
    text = CURSORS.text(ASKED, Place((1,), (9,)))
    assert text is not None
    other = "A" if text[-1] != "A" else "B"
    for forged in (text[:-1] + other, text[1:], "", "x", "1999", "\u0661", text + "="):
        with pytest.raises(BadCursor):
            CURSORS.place(ASKED, forged)
    with pytest.raises(BadCursor):
        Cursors(b"another secret").place(ASKED, text)


@pytest.mark.parametrize(
    "other", [Question("others", "v1", ("id", "name")), Question("things", "v1", ("id",))]
)
def test_a_cursor_of_another_request_is_refused(other: Question) -> None:
    text = CURSORS.text(ASKED, Place((1,), (9,)))
    assert text is not None
    with pytest.raises(BadCursor, match="of another request"):
        CURSORS.place(other, text)


def test_a_cursor_of_another_version_is_a_conflict() -> None:
    text = CURSORS.text(ASKED, Place((1,), (9,)))
    assert text is not None
    with pytest.raises(Conflict, match="its version is v2, and the cursor is of v1"):
        CURSORS.place(Question("things", "v2", ("id", "name")), text)


def test_keys_that_are_too_long_for_a_url_have_none() -> None:
    assert CURSORS.text(ASKED, Place(("x" * LONGEST,), (math.inf,))) is None
