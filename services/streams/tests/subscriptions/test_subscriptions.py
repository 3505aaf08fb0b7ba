"""Wakes, leases and fences (section 7 of the protocol)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from pydantic import SecretStr

from eddyline.testing import PATIENCE, Running, eventually, running, serving
from eddyline_streams.app import create_app
from eddyline_streams.settings import StreamsSettings
from eddyline_streams.subscriptions import subscriptions

KEY = "0123456789abcdef" * 4
JSON = {"Content-Type": "application/json"}


class Client:
    def __init__(self, server: Running, http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.root = f"{server.url}/v1/stream/"
        self.http = http
        self.headers = headers

    async def call(
        self, method: str, path: str, value: Any = None, token: str = ""
    ) -> httpx.Response:
        headers = self.headers | JSON | ({"Authorization": f"Bearer {token}"} if token else {})
        body = b"" if value is None else json.dumps(value).encode()
        return await self.http.request(method, self.root + path, content=body, headers=headers)

    async def subscribe(self, **config: Any) -> httpx.Response:
        return await self.call("PUT", "__ds/subscriptions/s", {"lease_ttl_ms": 1000, **config})

    async def claim(self, worker: str = "w") -> httpx.Response:
        return await self.call("POST", "__ds/subscriptions/s/claim", {"worker": worker})

    async def finish(self, what: str, claim: dict[str, Any], **more: Any) -> httpx.Response:
        fence = {"wake_id": claim["wake_id"], "generation": claim["generation"]}
        token = claim.get("token") or claim["callback_token"]
        return await self.call("POST", f"__ds/subscriptions/s/{what}", fence | more, token)

    async def wakes(self) -> list[Any]:
        return list((await self.call("GET", "wake")).json())


@asynccontextmanager
async def client_of(
    headers: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[Client]:
    async with running(create_app(StreamsSettings(**settings))) as server:
        async with httpx.AsyncClient() as http:
            yield Client(server, http, headers or {})


async def until(found: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not (value := await found()):
            await asyncio.sleep(0.02)  # sleep: the pace of asking
        return value


async def pull(client: Client) -> None:
    await client.call("PUT", "wake", [])
    assert (
        await client.subscribe(type="pull-wake", pattern="jobs/*", wake_stream="wake")
    ).status_code == 201


async def test_a_lease_that_ends_wakes_again_and_shuts_its_worker_out() -> None:
    async with client_of() as client:
        await pull(client)
        await client.call("PUT", "jobs/1", {"n": 1})
        first = (await until(lambda: _claimed(client))).json()
        assert (await client.claim("other")).json()["error"]["current_holder"] == "w"
        await until(lambda: _more_wakes(client, 1))
        stale = await client.finish("ack", first, done=True)
        assert (stale.status_code, stale.json()["error"]["code"]) == (409, "FENCED")
        second = (await until(lambda: _claimed(client))).json()
        assert second["generation"] > first["generation"]
        tail = second["streams"][0]["tail_offset"]
        acks = [{"stream": "jobs/1", "offset": tail}]
        beat = await client.finish("ack", second, acks=acks)
        assert beat.json() == {"ok": True, "next_wake": False}
        assert (await client.finish("ack", second, done=True)).status_code == 200
        assert (await client.claim()).json()["error"]["code"] == "NO_PENDING_WORK"


async def _claimed(client: Client) -> httpx.Response | None:
    response = await client.claim()
    return response if response.status_code == 200 else None


async def _more_wakes(client: Client, than: int) -> bool:
    return len(await client.wakes()) > than


async def test_work_that_is_given_back_wakes_again() -> None:
    async with client_of() as client:
        await pull(client)
        await client.call("PUT", "jobs/1", {"n": 1})
        claim = (await until(lambda: _claimed(client))).json()
        before = len(await client.wakes())
        assert (await client.finish("release", claim)).status_code == 204
        await until(lambda: _more_wakes(client, before))


async def test_a_token_is_of_one_subscription_and_one_wake() -> None:
    async with client_of() as client:
        await pull(client)
        await client.call("PUT", "jobs/1", {"n": 1})
        claim = (await until(lambda: _claimed(client))).json()
        forged = jwt.encode({"sub": "s", "gen": claim["generation"], "wake": claim["wake_id"]}, KEY)
        for token in (forged, "x", ""):
            refused = await client.finish("ack", claim | {"token": token or "-"}, done=True)
            assert refused.json()["error"]["code"] == "TOKEN_INVALID"
        far = [{"stream": "jobs/1", "offset": "0000000000000099_abc"}]
        refused = await client.finish("ack", claim, acks=far, done=True)
        assert refused.json()["error"]["code"] == "INVALID_OFFSET"


async def test_streams_that_were_there_are_not_news() -> None:
    async with client_of() as client:
        await client.call("PUT", "jobs/old", {"n": 1})
        await pull(client)
        assert (await client.claim()).status_code == 409
        await client.call("POST", "jobs/old", {"n": 2})
        claim = (await until(lambda: _claimed(client))).json()
        [stream] = claim["streams"]
        rest = await client.call("GET", f"jobs/old?offset={stream['acked_offset']}")
        assert rest.json() == [{"n": 2}]


async def test_a_stream_that_is_made_anew_is_news_again() -> None:
    async with client_of() as client:
        await pull(client)
        await client.call("PUT", "jobs/1", [{"n": n} for n in range(5)])
        claim = (await until(lambda: _claimed(client))).json()
        acks = [{"stream": "jobs/1", "offset": claim["streams"][0]["tail_offset"]}]
        await client.finish("ack", claim, acks=acks, done=True)
        await client.call("DELETE", "jobs/1")
        await client.call("PUT", "jobs/1", {"n": 0})
        assert (await until(lambda: _claimed(client))).status_code == 200


async def test_a_webhook_that_fails_is_tried_again_and_told_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscriptions, "RETRY", 0.05)
    bodies: list[Any] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        bodies.append(json.loads(await reader.readexactly(length)))
        status, body = ("500 No", "") if len(bodies) < 3 else ("200 OK", '{"done": true}')
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()

    async with serving(answer) as port, client_of() as client:
        hook = {"url": f"http://127.0.0.1:{port}/hook"}
        assert (
            await client.subscribe(type="webhook", pattern="**", webhook=hook)
        ).status_code == 201
        await client.call("PUT", "a/b", {"n": 1})
        await eventually(lambda: len(bodies) == 3)
        assert len({body["wake_id"] for body in bodies}) == 3
        tail = bodies[-1]["streams"][0]["tail_offset"]

        async def acknowledged() -> bool:
            found = (await client.call("GET", "__ds/subscriptions/s")).json()
            return found["status"] == "active" and found["streams"][0]["acked_offset"] == tail

        await until(acknowledged)


async def test_another_configuration_under_the_same_id_is_refused() -> None:
    async with client_of() as client:
        await pull(client)
        same = await client.subscribe(type="pull-wake", pattern="jobs/*", wake_stream="wake")
        assert same.status_code == 200
        other = await client.subscribe(type="pull-wake", pattern="x/*", wake_stream="wake")
        assert (other.status_code, other.json()["error"]["code"]) == (
            409,
            "SUBSCRIPTION_ALREADY_EXISTS",
        )
        assert (await client.call("DELETE", "__ds/subscriptions/s")).status_code == 204
        assert (await client.claim()).json()["error"]["code"] == "SUBSCRIPTION_NOT_FOUND"


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("streams:read streams:append", 201),
        ("streams:read:jobs/* streams:append:wake", 201),
        ("streams:read:jobs/a* streams:append", 403),
        ("streams:read:jobs/*", 403),
    ],
)
async def test_a_subscription_needs_the_right_to_read_all_of_its_streams(
    scope: str, status: int
) -> None:
    claims = {"sub": "test", "scope": scope, "exp": time.time() + 60}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, KEY)}"}
    async with client_of(headers, auth_key=KEY) as client:
        response = await client.subscribe(type="pull-wake", pattern="jobs/*", wake_stream="wake")
        assert response.status_code == status


async def test_processes_that_share_a_store_share_its_subscriptions(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "SWEEP", 0.1)
    store = SecretStr(f"{redis_url}?name=subscriptions")
    async with client_of(store=store) as one, client_of(store=store) as other:
        await pull(one)
        await other.call("PUT", "jobs/1", {"n": 1})
        claim = (await until(lambda: _claimed(one))).json()
        assert (await other.claim("other")).json()["error"]["code"] == "ALREADY_CLAIMED"
        acks = [{"stream": "jobs/1", "offset": claim["streams"][0]["tail_offset"]}]
        done = await other.finish("ack", claim, acks=acks, done=True)
        assert done.json() == {"ok": True, "next_wake": False}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"type": "other", "pattern": "a"},
        {"type": "webhook", "pattern": "a"},
        {"type": "pull-wake", "pattern": "a"},
        {"type": "pull-wake", "wake_stream": "w"},
        {"type": "pull-wake", "wake_stream": "w", "pattern": "__ds/**"},
        {"type": "pull-wake", "wake_stream": "w", "pattern": "a/../b"},
        {"type": "pull-wake", "wake_stream": "w", "streams": "a"},
        {"type": "pull-wake", "wake_stream": "w", "pattern": "a", "lease_ttl_ms": 999},
        {"type": "pull-wake", "wake_stream": "w", "pattern": "a", "description": 7},
    ],
)
async def test_a_bad_configuration_is_refused(config: dict[str, Any]) -> None:
    async with client_of() as client:
        response = await client.subscribe(**config)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "INVALID_REQUEST")
