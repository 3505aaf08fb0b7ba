"""The text of chunks, one by one."""

import json
from typing import Any

import pytest

from eddyline.errors import UpstreamError
from eddyline_chat.openai.chunk import parse, quoted
from eddyline_chat.openai.text import Text


def read(chunk: Any) -> tuple[str, str]:
    """The text and the finish reason."""
    text = Text()
    return text.take(parse(json.dumps(chunk).encode())), text.finish


@pytest.mark.parametrize(
    ("choice", "text", "finish"),
    [
        ({"delta": {"content": "a"}, "finish_reason": None}, "a", ""),
        ({"delta": {"content": "a"}, "finish_reason": "stop"}, "a", "stop"),
        ({"delta": {}, "finish_reason": "eos"}, "", "eos"),
        ({"delta": {}, "finish_reason": ""}, "", ""),
        ({"delta": {"role": "assistant"}}, "", ""),
        ({"delta": {"content": None, "reasoning_content": "hm"}}, "", ""),
        ({"delta": {"refusal": "I can't"}}, "I can't", ""),
        ({"delta": {"content": ["?", {"type": "text", "text": "!"}]}}, "?!", ""),
        ({"delta": {"content": [{"type": "thinking", "thinking": []}]}}, "", ""),
        ({"delta": {"content": "a", "tool_calls": []}}, "a", ""),
        ({"message": {"content": "a"}, "finish_reason": "stop"}, "a", "stop"),
        ({"delta": None}, "", ""),
        ({}, "", ""),
    ],
)
def test_the_text_of_a_choice(choice: Any, text: str, finish: str) -> None:
    assert read({"choices": [choice]}) == (text, finish)


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
        read({"choices": [choice]})


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
    assert read({"choices": choices}) == (text, "")


@pytest.mark.parametrize(
    ("chunk", "saying"),
    [
        ({"object": "error", "message": "x", "code": 400}, "failed in the midst"),
        ({"detail": "Not Found"}, "failed in the midst"),
        ({"message": "x", "type": "server_error"}, r"failed in the midst .* \(server_error\)"),
        ({}, "failed in the midst"),
    ],
)
def test_an_object_that_is_no_chunk_is_an_error(chunk: Any, saying: str) -> None:
    with pytest.raises(UpstreamError, match=saying):
        parse(json.dumps(chunk).encode())


def test_choices_are_a_list() -> None:
    with pytest.raises(UpstreamError, match="choices that are not a list"):
        read({"choices": "?"})


def test_the_usage_alone_is_a_chunk() -> None:
    assert read({"usage": {"total_tokens": 1}}) == ("", "")


@pytest.mark.parametrize("data", ["{nonsense", "[" * 100_000, "[1]", '"text"'])
def test_what_is_no_object_is_an_error(data: str) -> None:
    with pytest.raises(UpstreamError, match="not"):
        parse(data.encode())


@pytest.mark.parametrize("error", ["plain text", {"message": "x"}, ["?"]])
def test_an_error_of_any_shape_is_an_error(error: Any) -> None:
    with pytest.raises(UpstreamError, match=r"failed in the midst of its answer$"):
        parse(json.dumps({"error": error}).encode())


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
