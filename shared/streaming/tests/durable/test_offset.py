"""Offsets (section 8 of the protocol)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline.durable.base import BadOffset
from eddyline.durable.offset import from_cursor, to_cursor
from eddyline.journal.cursor import Cursor, new_epoch

CURSORS = st.builds(
    Cursor, st.from_regex(r"[0-9a-z]{1,16}", fullmatch=True), st.integers(0, 10**16 - 1)
)


@given(CURSORS.filter(lambda cursor: set(cursor.epoch + str(cursor.sequence)) != {"0"}))
def test_a_cursor_is_an_offset_and_back(cursor):
    offset = from_cursor(cursor)
    assert to_cursor(offset) == cursor
    assert len(offset) < 256
    assert set(offset).isdisjoint(",&=?/")
    assert offset not in ("-1", "now")


@given(CURSORS, CURSORS)
def test_offsets_sort_as_sequences_do_over_all_epochs(one, other):
    if one.sequence < other.sequence:
        assert from_cursor(one) < from_cursor(other)


@pytest.mark.parametrize("text", ["-1", "0000000000000000_0000000000000000"])
def test_the_beginning_has_two_names(text):
    assert to_cursor(text) is None


@pytest.mark.parametrize(
    "text", ["", "now", "0", "1_a", "0000000000000001", "0000000000000001_A", "a,b", "0" * 300]
)
def test_any_other_text_is_refused(text):
    with pytest.raises(BadOffset, match="is no offset"):
        to_cursor(text)


def test_an_epoch_of_ours_is_no_zero():
    assert new_epoch() != "0000000000000000"
