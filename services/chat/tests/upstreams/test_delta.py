"""Chunks of an OpenAI stream, one by one."""

import json
from typing import Any

import pytest

from eddyline.errors import UpstreamError
from eddyline_chat.upstreams.delta import Delta, quoted


def parse(choice: Any) -> Delta:
    return Delta.parse(json.dumps({"choices": [choice]}))


@pytest.mark.parametrize(
    ("choice", "delta"),
    [
        ({"delta": {"content": "a"}, "finish_reason": None}, Delta("a")),
        ({"delta": {"content": "a"}, "finish_reason": "stop"}, Delta("a", "stop")),
        ({"delta": {}, "finish_reason": "eos"}, Delta("", "eos")),
        ({"delta": {}, "finish_reason": ""}, Delta()),
        ({"delta": {"role": "assistant"}}, Delta()),
        ({"delta": {"content": None, "reasoning_content": "hm"}}, Delta(reasoning=True)),
        ({"delta": {"refusal": "I can't"}}, Delta("I can't")),
        ({"delta": {"content": ["?", {"type": "text", "text": "!"}]}}, Delta("?!")),
        ({"delta": {"content": [{"type": "thinking", "thinking": []}]}}, Delta(reasoning=True)),
        ({"delta": {"content": "a", "tool_calls": []}}, Delta("a")),
        ({"message": {"content": "a"}, "finish_reason": "stop"}, Delta("a", "stop")),
        ({"delta": None}, Delta()),
        ({}, Delta()),
    ],
)
def test_what_a_choice_adds(choice: Any, delta: Delta) -> None:
    assert parse(choice) == delta


@pytest.mark.parametrize(
    ("choice", "saying"),
    [
        ("?", "choice that is not"),
        ({"delta": "?"}, "delta that is not"),
        ({"delta": {"content": 7}}, "content that is not text"),
        ({"delta": {"content": [{"type": "image_url"}]}}, "part of content that is not text"),
        ({"delta": {"content": [{"type": "text", "text": None}]}}, "part of content"),
        ({"delta": {"content": [7]}}, "part of content that is not text"),
        ({"delta": {"content": "a", "tool_calls": [{"index": 0}]}}, "answered by tool_calls"),
        ({"delta": {"function_call": {"name": "f"}}}, "answered by function_call"),
        ({"delta": {"audio": {"data": ""}}}, "answered by audio"),
        ({"finish_reason": 1}, "finish reason that is not a text"),
        ({"error": {"code": "overloaded"}}, r"failed in the midst of its answer \(overloaded\)"),
    ],
)
def test_a_choice_that_is_not_text_is_an_error(choice: Any, saying: str) -> None:
    with pytest.raises(UpstreamError, match=saying):
        parse(choice)


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ([{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}], "a"),
        ([{"index": 1, "delta": {"content": "b"}}], ""),
        ([{"delta": {"content": "a"}}, {"delta": {"content": "b"}}], "a"),
        ([], ""),
        (None, ""),
    ],
)
def test_only_the_first_choice_counts(choices: Any, text: str) -> None:
    assert Delta.parse(json.dumps({"choices": choices})) == Delta(text)


@pytest.mark.parametrize(
    ("chunk", "saying"),
    [
        ({"choices": "?"}, "choices that are not a list"),
        ({"object": "error", "message": "x", "code": 400}, "failed in the midst"),
        ({"detail": "Not Found"}, "failed in the midst"),
        ({"message": "x", "type": "server_error"}, r"failed in the midst .* \(server_error\)"),
        ({}, "failed in the midst"),
    ],
)
def test_an_object_that_is_no_chunk_is_an_error(chunk: Any, saying: str) -> None:
    with pytest.raises(UpstreamError, match=saying):
        Delta.parse(json.dumps(chunk))


def test_the_usage_alone_is_a_chunk() -> None:
    assert Delta.parse('{"usage": {"total_tokens": 1}}') == Delta()


@pytest.mark.parametrize("data", ["{nonsense", "[" * 100_000, "[1]", '"text"'])
def test_what_is_no_object_is_an_error(data: str) -> None:
    with pytest.raises(UpstreamError, match="not"):
        Delta.parse(data)


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
