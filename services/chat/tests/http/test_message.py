"""Bodies that are messages, and bodies that are not."""

import json

import pytest
from fastapi import Request
from starlette.types import Message as AsgiMessage

from eddyline.errors import BadRequest, TooLarge
from eddyline_chat.http import message


def request(*chunks: bytes) -> Request:
    left = list(chunks)

    async def receive() -> AsgiMessage:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    return Request({"type": "http", "headers": []}, receive)


async def test_a_message_is_read_from_any_chunks() -> None:
    (only,) = await message.read(request(b'{"mess', b'age": "H', b'i", "x": 1}'), 10, 100)
    assert only == {"role": "user", "content": "Hi"}


async def test_the_longest_message_fits_however_it_is_escaped() -> None:
    body = json.dumps({"message": "\x01" * 100}).encode()
    (only,) = await message.read(request(body), 100, 1000)
    assert len(only["content"]) == 100


async def test_a_byte_more_is_too_large() -> None:
    with pytest.raises(TooLarge, match="message has 101 bytes: at most 100"):
        await message.read(request(json.dumps({"message": "x" * 101}).encode()), 100, 1000)


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    chunks = [b"x" * 1000] * 100
    with pytest.raises(TooLarge, match="more than 1624 bytes"):
        await message.read(request(*chunks), 100, 1624)


@pytest.mark.parametrize(
    ("body", "saying"),
    [
        (b"", "the body: .*EOF"),
        (b"nonsense", "the body: "),
        (b"[]", "the body: "),
        (b"{}", "message: Field required"),
        (b'{"message": 1}', "message: .*string"),
        (b'{"message": "\\ud800"}', "the body: "),
        (b'{"message": " \\n"}', "message is empty"),
    ],
)
async def test_a_bad_body_is_named(body: bytes, saying: str) -> None:
    with pytest.raises(BadRequest, match=saying):
        await message.read(request(body), 100, 1000)
