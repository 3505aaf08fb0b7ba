"""Logs and chat by the Python client: lines once each, and no part of an answer for the whole."""

import asyncio
from pathlib import Path

import pytest

from eddyline.client import AsyncClient, Failed, Incomplete, LogLine, LogNote, Refused
from eddyline.testing import FaultProxy, Running, serving


async def test_lines_come_once_though_the_connection_is_cut(
    logs: Running, folder: Path, tmp_path: Path
) -> None:
    log = folder / "app.log"
    log.write_text("0\n1\n")
    lines: list[int] = []
    async with FaultProxy(logs.port) as proxy, AsyncClient(proxy.url) as client:
        assert await client.log_sources() == ["app.log"]
        place = tmp_path / "place"
        async with client.tail("app.log", lines=2, state_file=place) as tail:
            async for item in tail:
                assert isinstance(item, LogLine), item
                assert item.source == "app.log"
                lines.append(int(item.line))
                if len(lines) == 20:
                    tail.save()
                    break
                with log.open("a") as file:
                    file.write(f"{len(lines) + 1}\n")
                if len(lines) % 7 == 5:
                    proxy.cut()
        with log.open("a") as file:
            file.write("21\n22\n")
        async with client.tail("app.log", state_file=place) as tail:
            rest = [await anext(tail) for _ in range(3)]
    assert lines == list(range(20))
    assert [item.line for item in rest if isinstance(item, LogLine)] == ["20", "21", "22"]


async def test_the_last_lines_end(logs: Running, folder: Path) -> None:
    (folder / "app.log").write_text("a\nb\nc\nhalf")
    async with AsyncClient(logs.url) as client:
        items = [item async for item in client.last_lines("app.log", 2)]
        assert [item.line for item in items if isinstance(item, LogLine)] == ["b", "c"]
        [note] = [item for item in items if isinstance(item, LogNote)]
        assert (note.kind, note.fields["line"]) == ("partial", "half")
        with pytest.raises(Refused) as refused:
            [item async for item in client.last_lines("none")]
        assert refused.value.status == 404


async def test_lines_without_their_end_are_incomplete(logs: Running, folder: Path) -> None:
    (folder / "app.log").write_text("".join(f"{n}\n" for n in range(1000)))
    async with FaultProxy(logs.port) as proxy, AsyncClient(proxy.url) as client:
        proxy.cut_after = 2000
        with pytest.raises(Incomplete):
            [item async for item in client.last_lines("app.log", 1000)]


async def test_an_answer_comes_token_by_token(chat: Running) -> None:
    async with AsyncClient(chat.url) as client:
        answer = client.chat("Hello")
        tokens = [token async for token in answer]
        assert len(tokens) > 3
        assert answer.finish_reason == "stop"
        assert "Hello" in await client.chat("Hello").text()
        with pytest.raises(Refused, match="message is empty"):
            await client.chat(" ").text()
    async with AsyncClient("http://127.0.0.1:1") as client:
        with pytest.raises(Failed):
            await client.chat("Hello").text()


HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('data: {"token": "a"}\n\n', "ended without its end"),
        ('data: {"token": "a"}\n\nevent: error\ndata: {"error": "no more"}\n\n', "no more"),
        ('data: {"token": "a"}\n\ndata: {"done": tr', "ended without its end"),
        ("", "ended without its end"),
    ],
)
async def test_a_part_of_an_answer_is_never_the_whole(body: str, reason: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{HEAD}\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with serving(answer) as port, AsyncClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(Incomplete, match=reason):
            await client.chat("Hello").text()


async def test_an_answer_that_is_cut_is_rejoined(chat: Running) -> None:
    async with AsyncClient(chat.url) as client:
        whole = await client.chat("Hello").text()
    for cut in (600, 700, 900):
        async with FaultProxy(chat.port) as proxy, AsyncClient(proxy.url) as client:
            proxy.cut_after = cut
            answer = client.chat("Hello")
            got = await anext(answer)
            proxy.cut_after = None
            assert got + await answer.text() == whole
            assert answer.finish_reason == "stop"
            assert answer.generation_id is not None
            assert await client.rejoin(answer.generation_id).text() == whole
            await client.cancel(answer.generation_id)


async def test_an_answer_that_is_gone_is_incomplete(chat: Running) -> None:
    async with AsyncClient(chat.url, patience=1.0) as client:
        with pytest.raises(Incomplete, match="can't be rejoined"):
            await client.rejoin("gen-none").text()


REJOINED = (
    ('data: {"choices":[{"delta":{"content":"ab"}}]}\n\n', None),
    ('data: {"choices":[{"delta":{"content":"xy"}}]}\n\n', "another one by now"),
    ('data: {"error":{"message":"the model died"}}\n\n', "the model died"),
    ('data: {"choices":[{"delta":{},"finish_reason":"content_filter"}]}\n\n', "content_filter"),
)


@pytest.mark.parametrize(("body", "reason"), REJOINED)
async def test_a_rejoined_answer_is_of_one_generation_and_whole(
    body: str, reason: str | None
) -> None:
    end = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first = 'data: {"token": "a"}\n\n'
        sent = first if head.startswith(b"POST") else body + end
        writer.write(f"{HEAD}X-Generation-Id: gen-1\r\n\r\n{sent}".encode())
        await writer.drain()
        writer.close()

    async with serving(answer) as port, AsyncClient(f"http://127.0.0.1:{port}") as client:
        if reason is None:
            assert await client.chat("Hello").text() == "ab"
        else:
            with pytest.raises(Incomplete, match=reason):
                await client.chat("Hello").text()
