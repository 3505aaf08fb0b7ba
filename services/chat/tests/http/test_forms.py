"""The lesson's forms of an answer."""

import json

import pytest

from eddyline.errors import UpstreamError
from eddyline_chat.http import forms
from eddyline_chat.http.forms import EventStream, Form, PlainText, Whole
from eddyline_chat.openai.chunk import written


def take(form: Form, text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return form.chunk(written({"choices": [choice]}))


def test_events_are_the_lessons() -> None:
    form = EventStream()
    assert take(form, '"ü"\n') == b'data: {"token": "\\"\\u00fc\\"\\n"}\n\n'
    assert form.end() == b'data: {"done": true}\n\n'
    assert form.failure(UpstreamError("why")) == b'event: error\ndata: {"error": "why"}\n\n'


def test_the_end_tells_the_finish_reason_and_the_usage() -> None:
    form = EventStream()
    take(form, "Hi", "stop")
    form.chunk(written({"choices": [], "usage": {"completion_tokens": 1}}))
    told = {"done": True, "finish_reason": "stop", "usage": {"completion_tokens": 1}}
    assert json.loads(form.end().removeprefix(b"data: ")) == told


def test_text_is_itself() -> None:
    form = PlainText()
    assert take(form, "ü") == "ü".encode()
    assert (form.end(), form.failure(UpstreamError("why"))) == (b"", None)


def test_a_whole_answer_is_one_value() -> None:
    form = Whole()
    assert take(form, "Hel") == take(form, "lo") == b""
    assert json.loads(form.end()) == {"response": "Hello"}


def test_a_whole_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_WHOLE_LIMIT", 10)
    form = Whole()
    take(form, "x" * 10)
    with pytest.raises(UpstreamError, match="more than 10 characters"):
        take(form, "x")
