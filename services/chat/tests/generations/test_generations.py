"""Answers after their first connection: rejoined at any byte, in any process, cancelled, orphaned.

Two replicas are two servers of this process, which share nothing but Redis.
"""

import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import jwt
import pytest
from pydantic import SecretStr

from eddyline.testing import Running, Stream, eventually, fetch, running
from eddyline.testing.redis import RedisServer
from eddyline.testing.wait import free_port
from eddyline_chat.app import create_app
from eddyline_chat.settings import ChatSettings

PATH = "/v1/chat/completions"
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}

Serve = Callable[..., Any]


@pytest.fixture
async def serve(fake: Any) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(**fields: Any) -> Running:
            app = create_app(ChatSettings(**{"upstream": fake.url, "model": "m", **fields}))
            return await stack.enter_async_context(running(app))

        yield start


@pytest.fixture
def shared(redis_url: str) -> SecretStr:
    return SecretStr(f"{redis_url}?name=chat-{uuid4().hex[:8]}")


class Paced:
    """An upstream whose tokens come when the test says so."""

    def __init__(self, tokens: int = 3) -> None:
        self.left = asyncio.Semaphore(0)
        self.tokens = tokens

    async def __call__(self, exchange: Any) -> None:
        exchange.head()
        for number in range(self.tokens):
            await self.left.acquire()
            choice = {"index": 0, "delta": {"content": f"{number} "}, "finish_reason": None}
            exchange.data({"id": "c", "choices": [choice]})
        await self.left.acquire()
        exchange.end()

    def go_on(self, count: int = 1) -> None:
        for _ in range(count):
            self.left.release()


async def ask(server: Running, body: Any = BODY, **headers: str) -> Stream:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = json.dumps(body).encode()
    return await fetch(server.url + PATH, method="POST", body=raw, headers=named)


async def rejoin(server: Running, id: str, after: str = "", **headers: str) -> Stream:
    named = {"Last-Event-ID": after, **headers} if after else headers
    return await fetch(f"{server.url}/v1/generations/{id}/events", headers=named)


async def call(server: Running, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
    stream = await fetch(f"{server.url}/v1/generations/{path}", method=method, headers=headers)
    answer = stream.status, await stream.json()
    await stream.close()
    return answer


def texts(body: bytes) -> str:
    """The text of the chunks in a body."""
    found = re.findall(rb"^data: (\{.*)$", body, re.MULTILINE)
    chunks = [json.loads(data) for data in found]
    return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if "choices" in c)


async def test_an_answer_is_rejoined_from_its_start_or_from_an_id(serve: Serve, fake: Any) -> None:
    fake.answer = paced = Paced()
    server = await serve(head_after=0.01)
    first = await ask(server)
    id = first.headers["x-generation-id"]
    early = await rejoin(server, id)  # before the first token
    paced.go_on(4)
    whole = await early.body()
    assert (early.clean, texts(whole)) == (True, "0 1 2 ")
    assert whole.rstrip().endswith(b"data: [DONE]")
    plain = (await first.body()).replace(b": ping\n", b"")
    events = re.sub(rb"id: .*\n|: ping\n", b"", whole)
    assert events == plain  # the same chunks, byte for byte
    ids = re.findall(rb"^id: (.*)$", whole, re.MULTILINE)
    late = await rejoin(server, id, ids[0].decode())
    assert texts(await late.body()) == "1 2 "
    over = await rejoin(server, id, ids[-1].decode())
    assert (over.status, await over.body()) == (204, b"")
    for stream in (first, early, late, over):
        await stream.close()


async def test_the_state_of_an_answer_is_told(serve: Serve, fake: Any) -> None:
    fake.answer = paced = Paced()
    server = await serve(head_after=0.01)
    stream = await ask(server)
    id = stream.headers["x-generation-id"]
    paced.go_on(2)
    async with asyncio.timeout(20):
        while (state := (await call(server, id))[1])["text"] != "0 1 ":
            pass
    assert (state["status"], state["finish_reason"]) == ("in_progress", None)
    paced.go_on(2)
    await stream.body()
    await eventually_completed(server, id)
    _, state = await call(server, id)
    assert (state["status"], state["text"], state["finish_reason"]) == (
        "completed",
        "0 1 2 ",
        "stop",
    )
    await stream.close()


async def eventually_completed(server: Running, id: str) -> None:
    async with asyncio.timeout(20):
        while (await call(server, id))[1].get("status", "in_progress") == "in_progress":
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("gen-none", {}, 404, None),
        ("gen-none/events", {}, 404, None),
        ("gen-none/events", {"Last-Event-ID": "abc.1"}, 410, None),
        ("gen-none/events", {"Last-Event-ID": "!"}, 400, None),
        ("gen-none/events?x=1", {}, 400, None),
    ],
)
async def test_faults_are_error_objects(
    serve: Serve, path: str, headers: dict[str, str], status: int, code: str | None
) -> None:
    server = await serve()
    got, body = await call(server, path, **headers)
    assert (got, body["error"]["code"]) == (status, code)


async def test_a_strangers_answer_is_not_found(serve: Serve, fake: Any) -> None:
    def bearer(name: str) -> dict[str, str]:
        claims = {"sub": name, "scope": "chat:complete", "exp": time.time() + 60}
        return {"Authorization": f"Bearer {jwt.encode(claims, 'k' * 32, algorithm='HS256')}"}

    server = await serve(auth_key=SecretStr("k" * 32))
    stream = await ask(server, **bearer("ann"))
    id = stream.headers["x-generation-id"]
    await stream.body()
    assert (await call(server, id, **bearer("ann")))[0] == 200
    assert (await call(server, id, **bearer("bob")))[0] == 404
    assert (await call(server, f"{id}/cancel", "POST", **bearer("bob")))[0] == 404
    stranger = await rejoin(server, id, **bearer("bob"))
    assert stream.status == 200
    assert stranger.status == 404
    await stranger.close()
    await stream.close()


async def test_an_answer_is_cancelled_from_another_replica_and_twice(
    serve: Serve, fake: Any, shared: SecretStr
) -> None:
    fake.answer = paced = Paced()
    one, two = await serve(store=shared, head_after=0.01), await serve(store=shared)
    stream = await ask(one)
    id = stream.headers["x-generation-id"]
    paced.go_on()
    reader = await rejoin(two, id)
    for _ in range(2):
        status, state = await call(two, f"{id}/cancel", "POST")
        assert (status, state["status"]) == (200, "cancelled")
        assert state["error"]["code"] == "cancelled"
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)
    for body in (await stream.body(), await reader.body()):
        assert b'"code":"cancelled"' in body
        assert b'"finish_reason":"stop"' not in body
    await stream.close()
    await reader.close()


async def test_a_client_that_leaves_cancels_after_the_grace(serve: Serve, fake: Any) -> None:
    fake.answer = Paced()
    server = await serve(head_after=0.01, grace=0.05)
    stream = await ask(server)
    id = stream.headers["x-generation-id"]
    await stream.close()
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)
    await eventually_completed(server, id)
    assert (await call(server, id))[1]["status"] == "cancelled"


@pytest.mark.parametrize("how", ["continue", "reload"])
async def test_an_answer_goes_on_where_it_is_told_to_or_rejoined(
    serve: Serve, fake: Any, how: str
) -> None:
    fake.answer = paced = Paced()
    server = await serve(head_after=0.01, grace=0.2)
    headers = {"X-On-Disconnect": "continue"} if how == "continue" else {}
    stream = await ask(server, **headers)
    id = stream.headers["x-generation-id"]
    await stream.close()
    if how == "reload":
        again = await rejoin(server, id)
        await asyncio.sleep(0.4)  # sleep: longer than the grace
        paced.go_on(4)
        assert texts(await again.body()) == "0 1 2 "
        await again.close()
    else:
        paced.go_on(4)
        await eventually_completed(server, id)
    assert (await call(server, id))[1]["text"] == "0 1 2 "


async def test_an_orphan_has_its_time(serve: Serve, fake: Any) -> None:
    fake.answer = Paced()
    server = await serve(head_after=0.01, orphan=0.1)
    stream = await ask(server, X_On_Disconnect="continue")
    await stream.close()
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


async def test_another_way_to_leave_is_refused(serve: Serve, fake: Any) -> None:
    server = await serve()
    stream = await ask(server, X_On_Disconnect="maybe")
    assert stream.status == 400
    await stream.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_idempotency_key_joins_the_running_answer(
    serve: Serve, fake: Any, shared: SecretStr, stream: bool
) -> None:
    """The official clients repeat a request with its key: it is paid for once."""
    go_on = asyncio.Event()

    async def answer(exchange: Any) -> None:
        await go_on.wait()
        if stream:
            exchange.tokens("Hel", "lo")
            exchange.end()
            return
        message = {"role": "assistant", "content": "Hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice]}).encode()
        kind = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        exchange.head(200, kind)
        exchange.transport.write(body)

    fake.answer = answer
    one, two = [await serve(store=shared, head_after=0.05) for _ in range(2)]
    body = {**BODY, "stream": stream}
    asked = [asyncio.create_task(ask(one, body, Idempotency_Key="k"))]
    await fake.asked()
    asked.append(asyncio.create_task(ask(two, body, Idempotency_Key="k")))
    other = asyncio.create_task(ask(two, body, Idempotency_Key="k2"))
    await fake.asked(2)
    go_on.set()
    streams = await asyncio.gather(*asked, other)
    bodies = [await each.body() for each in streams]
    assert len(fake.questions) == 2
    for each in bodies:
        assert b"Hello" in each if not stream else texts(each) == "Hello"
    ids = [each.headers["x-generation-id"] for each in streams]
    assert (ids[0] == ids[1], ids[1] == ids[2]) == (True, False)
    for each in streams:
        await each.close()


async def test_cuts_at_random_bytes_over_two_replicas_lose_nothing(
    serve: Serve, fake: Any, shared: SecretStr
) -> None:
    cuts, tokens, cutter = 60, 300, random.Random(7)
    fake.answer = paced = Paced(tokens)
    replicas = [await serve(store=shared, head_after=0.01) for _ in range(2)]
    origin = await ask(replicas[0], X_On_Disconnect="continue")
    id = origin.headers["x-generation-id"]
    await origin.close()
    joined, after = b"", ""
    for cut in range(cuts):
        paced.go_on(tokens // cuts)
        stream = await rejoin(replicas[cut % 2], id, after)
        heard, budget = b"", cutter.randint(1, 900)
        while len(heard) < budget:
            heard += await stream.read()
        heard = heard[:budget]
        await stream.close()
        whole = heard[: heard.rfind(b"\n\n") + 2] if b"\n\n" in heard else b""
        joined += whole
        if ids := re.findall(rb"^id: (.*)$", whole, re.MULTILINE):
            after = ids[-1].decode()
    paced.go_on(tokens)
    stream = await rejoin(replicas[0], id, after)
    joined += await stream.body()
    await stream.close()
    assert texts(joined) == "".join(f"{number} " for number in range(tokens))
    assert joined.rstrip().endswith(b"data: [DONE]")


async def test_redis_that_comes_back_in_mid_answer_goes_unnoticed(
    serve: Serve, fake: Any, tmp_path: Any
) -> None:
    with RedisServer(tmp_path, "--appendfsync", "always") as redis:
        fake.answer = paced = Paced(6)
        server = await serve(store=SecretStr(redis.url), head_after=0.01)
        stream = await ask(server)
        id = stream.headers["x-generation-id"]
        paced.go_on(2)
        while (await call(server, id))[1]["text"] != "0 1 ":
            await asyncio.sleep(0)
        redis.stop(signal.SIGKILL)
        paced.go_on(2)
        redis.start()
        paced.go_on(3)
        assert texts(await stream.body()) == "0 1 2 3 4 5 "
        await stream.close()
        await eventually_completed(server, id)
        _, state = await call(server, id)
        assert (state["status"], state["text"]) == ("completed", "0 1 2 3 4 5 ")


@pytest.mark.slow
async def test_readers_of_a_killed_process_get_an_honest_error_in_time(
    serve: Serve, fake: Any, shared: SecretStr
) -> None:
    fake.answer = paced = Paced()
    lease, port = 3.0, free_port()
    environment = {
        "CHAT_UPSTREAM": fake.url,
        "CHAT_MODEL": "m",
        "CHAT_STORE": shared.get_secret_value(),
        "CHAT_LEASE": str(lease),
        "CHAT_HEAD_AFTER": "0.05",
        "EDDYLINE_PORT": str(port),
    }
    command = [sys.executable, "-m", "eddyline", "serve", "eddyline_chat.app:app"]
    process = subprocess.Popen(command, env=os.environ | environment)
    try:
        other = await serve(store=shared, lease=lease)
        dying: Any = type("Dying", (), {"url": f"http://127.0.0.1:{port}"})
        await eventually(lambda: _listens(port))
        stream = await ask(dying)
        id = stream.headers["x-generation-id"]
        paced.go_on()
        readers = [await rejoin(other, id) for _ in range(20)]
        process.kill()
        process.wait()
        began = asyncio.get_running_loop().time()
        for reader in readers:
            body = await reader.body()
            assert b"the process that made the answer is gone" in body
        assert asyncio.get_running_loop().time() - began < lease + 2
        assert (await call(other, id))[1]["status"] == "failed"
        for each in (stream, *readers):
            await each.close()
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


async def test_without_a_store_nothing_is_kept(serve: Serve, fake: Any) -> None:
    server = await serve(store=SecretStr("none"))
    stream = await ask(server)
    assert "x-generation-id" not in stream.headers
    assert texts(await stream.body()) == "Hello"
    await stream.close()
    assert (await call(server, "gen-x"))[0] == 404


async def test_a_drain_tells_the_readers(serve: Serve, fake: Any) -> None:
    fake.answer = paced = Paced()
    server = await serve(head_after=0.01, drain_window=0.4)
    stream = await ask(server, X_On_Disconnect="continue")
    id = stream.headers["x-generation-id"]
    reader = await rejoin(server, id)
    paced.go_on()
    stopping = asyncio.create_task(server.stop())
    body = await stream.body()
    assert b"this process is stopping" in body
    await reader.body()
    await stopping
    await reader.close()
    await stream.close()
