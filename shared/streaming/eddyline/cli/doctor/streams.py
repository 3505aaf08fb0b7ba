"""Checks of the way of a stream: buffers, silence, and a cut."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from eddyline.cli.doctor.base import Case, Finding, words_of
from eddyline.client import AsyncClient, Message, Refused

#: Seconds between two pieces of a stream's beginning, at most: a longer pause is a silence.
_BEGINNING = 1.0


async def buffering(case: Case) -> Finding:
    """The hub sends the first bytes of a stream at once: is there a proxy that holds them back?"""
    refused = await _refusal(case)
    if refused is not None:
        return Finding("buffering", "skipped", f"no stream may be opened: {refused}")
    topic = f"doctor/{secrets.token_hex(4)}"
    began = time.monotonic()
    with suppress(TimeoutError, StopAsyncIteration, httpx.TransportError):
        async with asyncio.timeout(case.patience), _stream(case, topic) as chunks:
            await anext(chunks)
            # The first bytes may pass with the head, and the next ones be held back.
            if not await _publish(case, topic):
                took = (time.monotonic() - began) * 1000
                text = f"the first bytes come in {took:.0f} ms; no event may be published"
                return Finding("buffering", "ok", text)
            began = time.monotonic()
            received = b""
            while topic.encode() not in received:
                received += await anext(chunks)
            took = (time.monotonic() - began) * 1000
            return Finding("buffering", "ok", f"an event comes in {took:.0f} ms")
    return Finding(
        "buffering",
        "fault",
        f"the bytes of a stream do not come within {case.patience:g} s, and other answers do:"
        " a proxy on the way holds them back until the end",
        "nginx: `proxy_buffering off;`, and no `proxy_ignore_headers X-Accel-Buffering;`."
        " Others: docs/operate/proxies.md. No compression of text/event-stream.",
    )


async def _publish(case: Case, topic: str) -> bool:
    """Publishes its own name to a topic; False where that is refused."""
    event = {"topic": topic, "data": topic}
    answer = await case.client.post(case.at("events"), json=event, headers=case.headers)
    return answer.is_success


async def idle(case: Case) -> Finding:
    """Is a silent stream left open until its heartbeat?"""
    if not case.idle:
        return Finding("idle", "skipped", "--quick leaves it out")
    heard = time.monotonic()
    received = b""
    try:
        topic = f"doctor/{secrets.token_hex(4)}"
        async with asyncio.timeout(case.patience + case.idle), _stream(case, topic) as chunks:
            async for chunk in chunks:
                received += chunk
                silence, heard = time.monotonic() - heard, time.monotonic()
                if silence > _BEGINNING and b"retry:" not in chunk:
                    return Finding("idle", "ok", f"a silence of {silence:.0f} s passes")
    except httpx.TransportError:
        pass
    except TimeoutError:
        text = f"no heartbeat within {time.monotonic() - heard:.0f} s, and no cut"
        return Finding("idle", "skipped", text)
    silence = time.monotonic() - heard
    if b"retry:" in received or not received:
        return Finding("idle", "skipped", "the server itself ended the stream")
    return Finding(
        "idle",
        "fault",
        f"a stream is cut after {silence:.1f} s of silence: a proxy's idle time-out is shorter than"
        " the heartbeat of the server (15 s, if it is not set)",
        "nginx: `proxy_read_timeout 300s;`. Others: docs/operate/proxies.md. Or a shorter"
        f" EDDYLINE_HEARTBEAT of the server: {max(1, int(silence / 2))}",
    )


async def resume(case: Case) -> Finding:
    """Does a stream that was cut go on after its last event?"""
    topic = f"doctor/{secrets.token_hex(4)}"
    async with AsyncClient(case.url, token=case.token, patience=5, client=case.client) as client:
        try:
            ids = await client.publish_many([{"topic": topic, "data": n} for n in range(3)])
        except Refused as error:
            return Finding("resume", "skipped", f"nothing may be published: {error}")
        seen: list[object] = []
        try:
            async with asyncio.timeout(case.patience):
                async with client.subscribe(topic, after=ids[0]) as events:
                    seen.append(await anext(events))
                    last = events.last_event_id
                async with client.subscribe(topic, after=last) as events:
                    seen.append(await anext(events))
        except TimeoutError:
            return Finding("resume", "skipped", "no event came in time: see buffering")
    if [event.data for event in seen if isinstance(event, Message)] == [1, 2]:
        return Finding("resume", "ok", "a stream that is cut goes on after its last event")
    return Finding(
        "resume",
        "fault",
        f"after a cut came {seen[-1]}",
        "Do several processes serve events without one Redis, or is Last-Event-ID taken away?",
    )


async def _refusal(case: Case) -> str | None:
    """The reason for which a stream may not be opened, by an answer that ends at once."""
    path = "events?topic=doctor&poll=1&timeout=0.1"
    answer = await case.client.get(case.at(path), headers=case.headers)
    return None if answer.is_success else words_of(answer)


@asynccontextmanager
async def _stream(case: Case, topic: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The pieces of a stream as they come."""
    url = case.at(f"events?topic={topic}")
    headers = {**case.headers, "Accept": "text/event-stream"}
    async with case.client.stream("GET", url, headers=headers, timeout=None) as answer:
        yield answer.aiter_raw()
