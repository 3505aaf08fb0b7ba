"""Chunks of an OpenAI stream, one by one."""

import json
from typing import Any

import pytest

from eddyline.errors import UpstreamError
from eddyline_chat.upstreams.delta import Delta, quoted


def parse(choice: Any) -> Delta:
    return Delta.parse(json.dumps({"choices": [choice]}))


@pytest.mark.parametrize(
    ("choice", "text", "finished"),
    [
        ({"delta": {"content": "a"}, "finish_reason": None}, "a", False),
        ({"delta": {"content": "a"}, "finish_reason": "stop"}, "a", True),
        ({"delta": {}, "finish_reason": "eos"}, "", True),
        ({"delta": {"role": "assistant"}}, "", False),
        ({"delta": {"content": None, "reasoning_content": "hm"}}, "", False),
        ({"delta": {"content": ["?"]}}, "", False),
        ({"delta": None}, "", False),
        ({}, "", False),
        ("?", "", False),
    ],
)
def test_what_a_choice_adds(choice: Any, text: str, finished: bool) -> None:
    assert parse(choice) == Delta(text, finished)


@pytest.mark.parametrize("choices", [[], None, "?", {}])
def test_no_choice_adds_nothing(choices: Any) -> None:
    assert Delta.parse(json.dumps({"choices": choices})) == Delta("", False)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_cut_short_is_an_error(reason: str) -> None:
    with pytest.raises(UpstreamError, match=f"cut its answer short: {reason}"):
        parse({"delta": {}, "finish_reason": reason})


@pytest.mark.parametrize("error", ["plain text", {"message": "x"}, ["?"]])
def test_an_error_of_any_shape_is_an_error(error: Any) -> None:
    with pytest.raises(UpstreamError, match=r"failed in the midst of its answer$"):
        Delta.parse(json.dumps({"error": error}))


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"error": {"code": "model_not_found", "type": "t"}}, " (model_not_found)"),
        ({"error": {"code": 404, "type": "not_found"}}, " (not_found)"),
        ({"error": {"code": "sk-123", "type": "a b"}}, ""),
        ({"detail": "Not Found"}, ""),
        (None, ""),
    ],
)
def test_only_a_code_is_quoted(payload: Any, text: str) -> None:
    assert quoted(payload) == text
