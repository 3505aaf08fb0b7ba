"""Headers of writes (sections 5.1, 5.2.1 and 12 of the protocol)."""

import pytest
from starlette.requests import Request

from eddyline.durable.writing import form
from eddyline.durable.writing.form import Lifetime
from eddyline.errors import BadRequest
from eddyline.store.base import ProducerStamp


def request(**headers: str) -> Request:
    raw = [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()]
    return Request({"type": "http", "method": "PUT", "headers": raw})


@pytest.mark.parametrize(("text", "ttl"), [("0", 0), ("3600", 3600), (None, None)])
def test_a_ttl_is_in_seconds(text, ttl):
    headers = {} if text is None else {"stream_ttl": text}
    assert Lifetime.parse(request(**headers)) == Lifetime(ttl)


@pytest.mark.parametrize(
    "text", ["+3600", "03600", "3600.0", "3.6e3", "-1", "", " ", "١", "9" * 15]
)
def test_any_other_text_is_no_ttl(text):
    with pytest.raises(BadRequest, match="whole number"):
        Lifetime.parse(request(stream_ttl=text if text.isascii() else "\xb2"))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01t00:01:00.25z", 60.25),
        ("1970-01-01T02:01:00+02:00", 60.0),
    ],
)
def test_an_expiry_is_a_time_of_rfc_3339(text, at):
    assert Lifetime.parse(request(stream_expires_at=text)) == Lifetime(None, at)


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "2030-01-01",
        "2030-01-01T00:00:00",
        "2030-13-01T00:00:00Z",
        "20300101T000000Z",
        "",
    ],
)
def test_any_other_text_is_no_expiry(text):
    with pytest.raises(BadRequest, match="RFC 3339"):
        Lifetime.parse(request(stream_expires_at=text))


def test_a_stream_has_one_lifetime():
    with pytest.raises(BadRequest, match="expected one"):
        Lifetime.parse(request(stream_ttl="1", stream_expires_at="2030-01-01T00:00:00Z"))


def test_a_producer_names_all_three():
    full = {"producer_id": "p", "producer_epoch": "1", "producer_seq": "0"}
    assert form.producer(request(**full)) == ProducerStamp("p", 1, 0)
    assert form.producer(request()) is None
    for name in full:
        with pytest.raises(BadRequest, match="all three"):
            form.producer(request(**{k: v for k, v in full.items() if k != name}))
    with pytest.raises(BadRequest, match="not empty"):
        form.producer(request(**full | {"producer_id": ""}))


@pytest.mark.parametrize("text", [str(2**53), "1.5", "-1", "abc", "1e3"])
def test_numbers_are_those_that_javascript_has(text):
    with pytest.raises(BadRequest, match="9007199254740991"):
        form.producer(request(producer_id="p", producer_epoch=text, producer_seq="0"))


@pytest.mark.parametrize("text", ["true", "TRUE", "True"])
def test_closure_is_said_by_true_alone(text):
    assert form.is_closed(request(stream_closed=text))


@pytest.mark.parametrize("text", ["false", "yes", "1", "", "true "])
def test_other_values_say_nothing_of_closure(text):
    assert not form.is_closed(request(stream_closed=text))
