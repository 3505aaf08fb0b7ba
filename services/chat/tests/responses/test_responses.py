"""OpenAI's Responses API by its official client, unchanged."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from eddyline.testing import Running, fetch, running
from eddyline_chat.app import create_app
from eddyline_chat.settings import ChatSettings

USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


@pytest.fixture
async def server(fake: Any) -> AsyncIterator[Running]:
    app = create_app(ChatSettings(upstream=fake.url, model="m", grace=0.05))
    async with running(app) as server:
        yield server


@pytest.fixture
async def client(server: Running) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncExitStack() as stack:
        made = AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
        yield await stack.enter_async_context(made)


def choice(finish: str | None = None, **delta: Any) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def answering(fake: Any, *pieces: Any, gate: asyncio.Event | None = None) -> None:
    """The upstream's chunks; it waits for `gate` after the first one."""

    async def answer(exchange: Any) -> None:
        exchange.head()
        for number, piece in enumerate(pieces):
            if number == 1 and gate is not None:
                await gate.wait()
            exchange.data(piece)
        exchange.end(finish=None)

    fake.answer = answer


HELLO = (choice(content="Hel"), choice(content="lo"), choice("stop"))

#: "Streaming events" of OpenAI's reference, for one message.
ORDER = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


async def test_a_stream_has_openais_events_in_order(client: AsyncOpenAI, fake: Any) -> None:
    answering(fake, *HELLO, {"choices": [], "usage": USAGE})
    stream = await client.responses.create(model="m", input="Hi", stream=True)
    events = [event async for event in stream]
    assert [event.type for event in events] == ORDER
    assert [event.sequence_number for event in events] == list(range(len(ORDER)))
    last: Any = events[-1]
    assert (last.response.output_text, last.response.status) == ("Hello", "completed")
    assert (last.response.usage.input_tokens, last.response.usage.total_tokens) == (9, 11)


async def test_the_clients_own_assembly_works(client: AsyncOpenAI, fake: Any) -> None:
    answering(fake, *HELLO)
    async with client.responses.stream(model="m", input="Hi") as stream:
        whole = await stream.get_final_response()
    assert whole.output_text == "Hello"


async def test_the_question_is_that_of_a_chat(client: AsyncOpenAI, fake: Any) -> None:
    answering(fake, *HELLO)
    tool: Any = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "7"},
    ]
    await client.responses.create(
        model="m", input=items, instructions="Be brief.", tools=[tool], max_output_tokens=5
    )
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert fake.questions[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
    ]
    function = {"name": "f", "parameters": {"type": "object"}, "strict": True}
    assert fake.questions[0]["tools"] == [{"type": "function", "function": function}]
    assert fake.questions[0]["max_completion_tokens"] == 5


async def test_tool_calls_are_items(client: AsyncOpenAI, fake: Any) -> None:
    call = {"index": 0, "id": "call_1", "type": "function"}
    answering(
        fake,
        choice(tool_calls=[{**call, "function": {"name": "f", "arguments": '{"a"'}}]),
        choice(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        choice("tool_calls"),
    )
    whole = await client.responses.create(model="m", input="Hi")
    item: Any = whole.output[0]
    assert (item.type, item.call_id, item.name) == ("function_call", "call_1", "f")
    assert json.loads(item.arguments) == {"a": 1}


async def test_a_background_response_is_polled_and_resumed(client: AsyncOpenAI, fake: Any) -> None:
    gate = asyncio.Event()
    answering(fake, *HELLO, gate=gate)
    stream = await client.responses.create(model="m", input="Hi", stream=True, background=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()  # the client leaves, and the response goes on
    first: Any = seen[0]
    id, number = first.response.id, seen[-1].sequence_number
    assert (await client.responses.retrieve(id)).status == "in_progress"
    gate.set()
    again = await client.responses.retrieve(id, stream=True, starting_after=number)
    rest = [event async for event in again]
    assert [event.type for event in [*seen, *rest]] == ORDER
    assert [event.sequence_number for event in rest] == list(range(number + 1, len(ORDER)))
    done = await client.responses.retrieve(id)
    assert (done.status, done.output_text, done.background) == ("completed", "Hello", True)


async def test_a_background_response_is_cancelled_twice(client: AsyncOpenAI, fake: Any) -> None:
    answering(fake, *HELLO, gate=asyncio.Event())
    queued = await client.responses.create(model="m", input="Hi", background=True)
    assert queued.status in ("queued", "in_progress")
    await fake.asked()
    for _ in range(2):
        assert (await client.responses.cancel(queued.id)).status == "cancelled"
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


async def test_without_background_leaving_ends_it(client: AsyncOpenAI, fake: Any) -> None:
    answering(fake, *HELLO, gate=asyncio.Event())
    stream = await client.responses.create(model="m", input="Hi", stream=True)
    await stream.close()
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
async def test_a_part_is_incomplete(
    client: AsyncOpenAI, fake: Any, finish: str, reason: str
) -> None:
    answering(fake, choice(content="Hel"), choice(finish))
    whole = await client.responses.create(model="m", input="Hi")
    assert whole.incomplete_details is not None
    assert (whole.status, whole.incomplete_details.reason) == ("incomplete", reason)


async def test_a_cut_answer_fails(client: AsyncOpenAI, fake: Any) -> None:
    answering(fake, choice(content="Hel"))
    stream = await client.responses.create(model="m", input="Hi", stream=True)
    last: Any = [event async for event in stream][-1]
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert "ended before it was finished" in last.response.error.message
    with pytest.raises(openai.InternalServerError, match="ended before it was finished"):
        await client.responses.create(model="m", input="Hi")


async def test_a_refusal_has_its_status(client: AsyncOpenAI, fake: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.refuse(400, {"code": "context_length_exceeded"})

    fake.answer = answer
    with pytest.raises(openai.BadRequestError, match="context_length_exceeded"):
        await client.responses.create(model="m", input="Hi", stream=True)


@pytest.mark.parametrize(
    ("fields", "saying"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "only functions"),
        ({"input": [{"type": "reasoning"}]}, "input.0"),
        ({"input": []}, "one item or more"),
        ({"extra_body": {"x": 1}}, "x: unknown field"),
    ],
)
async def test_what_no_chat_can_do_is_refused(
    client: AsyncOpenAI, fields: dict[str, Any], saying: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=saying):
        await client.responses.create(**{"model": "m", "input": "Hi", **fields})


async def test_last_event_id_is_starting_after(server: Running, fake: Any) -> None:
    answering(fake, *HELLO)
    body = b'{"model": "m", "input": "Hi", "stream": true}'
    stream = await fetch(server.url + "/v1/responses", method="POST", body=body)
    events = await stream.events()
    assert [event.id for event in events] == [str(number) for number in range(len(ORDER))]
    id = json.loads(events[0].data)["response"]["id"]
    url = f"{server.url}/v1/responses/{id}?stream=true"
    by_header = await fetch(url, headers={"Last-Event-ID": "6"})
    by_query = await fetch(url + "&starting_after=6")
    rest = [event.data for event in await by_header.events()]
    assert rest == [event.data for event in events[7:]]
    assert [event.data for event in await by_query.events()] == rest
    bad = await fetch(url + "&starting_after=x")
    assert bad.status == 400
    for each in (stream, by_header, by_query, bad):
        await each.close()


async def test_an_unknown_response_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve("resp_none")
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve("resp_none", stream=True)
