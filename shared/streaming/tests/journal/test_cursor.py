import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline.errors import BadCursor
from eddyline.journal.cursor import SAFE_ID, Cursor, new_epoch, sign, verify

KEY = b"k" * 32


@given(st.from_regex(r"[0-9a-z]{1,16}", fullmatch=True), st.integers(0, 10**18 - 1))
def test_a_cursor_is_the_inverse_of_its_text(epoch: str, sequence: int) -> None:
    cursor = Cursor(epoch, sequence)
    assert Cursor.parse(str(cursor)) == cursor
    assert SAFE_ID.match(str(cursor))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".1",
        "a.-1",
        "a.01",
        "a.1 ",
        " a.1",
        "a.1\n",
        "A.1",
        "a.1.2",
        "a.٣",
        "a.²",
        "a.9999999999999999999",
        "eeeeeeeeeeeeeeeee.1",
        "a,1",
        "a.1\0",
        "../../etc/passwd",
    ],
)
def test_what_is_no_cursor_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(BadCursor) as caught:
        Cursor.parse(text)
    assert repr(text) in caught.value.detail


def test_a_long_text_is_not_repeated_in_full() -> None:
    for parse in (Cursor.parse, lambda text: verify(text, KEY)):
        with pytest.raises(BadCursor) as caught:
            parse("x" * 1_000_000)
        assert len(caught.value.detail) < 200


def test_epochs_differ_and_fit_a_cursor() -> None:
    epochs = {new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(Cursor.parse(f"{epoch}.0").epoch == epoch for epoch in epochs)


VALUES: st.SearchStrategy[Any] = st.lists(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
)


@given(VALUES)
def test_a_signed_value_comes_back(value: list[Any]) -> None:
    text = sign(value, KEY)
    assert verify(text, KEY) == value
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(VALUES, st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_found(value: list[Any], place: int, flip: int) -> None:
    text = sign(value, KEY)
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= flip
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    with pytest.raises(BadCursor):
        verify(forged, KEY)


def test_a_strangers_cursor_is_refused() -> None:
    with pytest.raises(BadCursor, match="not a cursor of this server"):
        verify(sign(["a", 1], b"s" * 32), KEY)


@pytest.mark.parametrize("text", ["", "A", "AAAA", "not base64!", "é", "====", "a" * 21, "A" * 22])
def test_garbage_is_not_a_signed_cursor(text: str) -> None:
    with pytest.raises(BadCursor):
        verify(text, KEY)


@pytest.mark.parametrize("junk", ["!", "\n", " ", "é", "~", "."])
def test_a_long_signed_cursor_has_one_spelling_only(junk: str) -> None:
    text = sign("v" * 200, KEY)
    assert verify(text, KEY) == "v" * 200
    with pytest.raises(BadCursor):
        verify(text[:150] + junk * 4 + text[150:], KEY)
