"""Durable Streams beyond its conformance tests: access, limits, and the end of the process."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest

from eddyline.testing import Running, Stream, eventually, fetch, running
from eddyline_streams.app import create_app
from eddyline_streams.settings import StreamsSettings

KEY = "0123456789abcdef" * 4
TEXT = {"Content-Type": "text/plain"}


def bearer(scope: str) -> dict[str, str]:
    claims = {"sub": "test", "scope": scope, "exp": time.time() + 60}
    return {"Authorization": f"Bearer {jwt.encode(claims, KEY)}"}


class Client:
    def __init__(self, server: Running, http: httpx.AsyncClient) -> None:
        self.server = server
        self.http = http

    async def call(self, method: str, path: str, *args: Any, **options: Any) -> httpx.Response:
        url = f"{self.server.url}/v1/stream/{path}"
        return await self.http.request(method, url, *args, **options)

    async def make(self, path: str, body: bytes = b"", **headers: str) -> str:
        headers = TEXT | {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.call("PUT", path, content=body, headers=headers)
        assert response.status_code == 201, response.text
        return response.headers["stream-next-offset"]

    async def append(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        headers = TEXT | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.call("POST", path, content=body, headers=headers)

    async def read(self, path: str, query: str = "offset=-1") -> Stream:
        return await fetch(f"{self.server.url}/v1/stream/{path}?{query}")


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Client]:
    async with running(create_app(StreamsSettings(**settings))) as server:
        async with httpx.AsyncClient() as http:
            yield Client(server, http)


async def control(stream: Stream) -> dict[str, Any]:
    """The next control event."""
    while (event := await stream.event()) is not None:
        if event.event == "control":
            value: dict[str, Any] = json.loads(event.data)
            return value
    raise AssertionError("the stream has ended")


# Access.


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("GET", "read"),
        ("HEAD", "read"),
        ("PUT", "create"),
        ("POST", "append"),
        ("DELETE", "delete"),
    ],
)
async def test_each_method_needs_a_scope_of_its_own(method: str, action: str) -> None:
    async with serving(auth_key=KEY) as client:
        everything = bearer("streams:*")
        made = await client.call("PUT", "a/b", content=b"x", headers=TEXT | everything)
        assert made.status_code == 201
        others = {"read", "create", "append", "delete"} - {action}
        for scope, allowed in (
            (f"streams:{action}:a/*", True),
            (f"streams:{action}:b/*", False),
            (" ".join(f"streams:{other}" for other in others), False),
        ):
            response = await client.call(
                method,
                "a/b",
                content=b"x" if method != "GET" else b"",
                headers=TEXT | bearer(scope),
            )
            assert (response.status_code != 403) is allowed
            assert response.headers["x-content-type-options"] == "nosniff"
        assert (await client.call(method, "a/b")).status_code == 401


async def test_a_fork_needs_the_right_to_read_its_source() -> None:
    async with serving(auth_key=KEY) as client:
        await client.call("PUT", "secret", content=b"x", headers=TEXT | bearer("streams:*"))
        fork = {"Stream-Forked-From": "/v1/stream/secret"}
        for source in (
            "/v1/stream/secret",
            "/v1/stream/s%65cret",
            f"{client.server.url}/v1/stream/secret",
        ):
            fork = {"Stream-Forked-From": source} | bearer("streams:create streams:read:public/*")
            assert (await client.call("PUT", "public/x", headers=fork)).status_code == 403
        fork |= bearer("streams:create streams:read")
        assert (await client.call("PUT", "public/x", headers=fork)).status_code == 201


@pytest.mark.parametrize(
    "path", ["__ds", "__ds/x", "a/%2e%2e/b", "..%2Fa", "a%00b", "%0A", "x" * 1025]
)
async def test_a_path_that_is_no_streams_is_refused(path: str) -> None:
    async with serving() as client:
        response = await client.http.put(
            httpx.URL(client.server.url).copy_with(raw_path=f"/v1/stream/{path}".encode()),
            content=b"x",
        )
        assert response.status_code in (400, 404)
        assert "path" in response.json()["detail"] or "nothing at" in response.json()["detail"]


async def test_writers_have_a_rate_and_streams_a_size() -> None:
    async with serving(write_rate=1, write_bytes=100, stream_bytes=200) as client:
        await client.make("a", b"x" * 100)
        response = await client.append("a", b"x" * 101)
        assert (response.status_code, response.json()["status"]) == (413, 413)
        response = await client.append("a", b"x")
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    async with serving(stream_bytes=200) as client:
        await client.make("a", b"x" * 100)
        assert (await client.append("a", b"x" * 100)).status_code == 413


# Live reading.


async def test_a_reader_gets_what_comes_and_then_the_end() -> None:
    async with serving() as client:
        start = await client.make("a", b"one ")
        async with await client.read("a", "offset=-1&live=sse") as stream:
            event = await stream.event()
            assert event is not None
            assert (event.event, event.data) == ("data", "one ")
            assert (await control(stream))["streamNextOffset"] == start
            await client.append("a", b" two\nthree", Stream_Closed="true")
            event = await stream.event()
            assert event is not None
            assert event.data == " two\nthree"
            last = [
                json.loads(each.data) for each in await stream.events() if each.event == "control"
            ][-1]
            assert (last["streamClosed"], last["upToDate"]) == (True, True)
            assert last["streamNextOffset"] > start
            assert stream.clean


async def test_bytes_come_in_base64() -> None:
    async with serving() as client:
        body = bytes(range(256))
        await client.make("a", body, Content_Type="application/x-thing", Stream_Closed="true")
        async with await client.read("a", "offset=-1&live=sse") as stream:
            assert stream.headers["stream-sse-data-encoding"] == "base64"
            event = await stream.event()
            assert event is not None
            assert base64.b64decode(event.data) == body


@pytest.mark.parametrize("live", [True, False])
async def test_half_a_character_ends_events_and_is_whole_in_the_next(live: bool) -> None:
    """The text of an event is UTF-8, and a write may end anywhere."""
    async with serving() as client:
        ok = await client.make("a", "ä".encode())
        if not live:
            await client.append("a", b"\xc3")
        async with await client.read("a", f"offset={ok}&live=sse") as stream:
            if live:
                await control(stream)
                await client.append("a", b"\xc3")
            events = await stream.events()
        assert {json.loads(event.data)["streamNextOffset"] for event in events} <= {ok}
        await client.append("a", b"\xa4", Stream_Closed="true")
        async with await client.read("a", f"offset={ok}&live=sse") as stream:
            events = await stream.events()
        assert [event.data for event in events if event.event == "data"] == ["ä"]


async def test_a_reader_whose_stream_is_deleted_is_ended() -> None:
    async with serving() as client:
        at = await client.make("a", b"x")
        async with await client.read("a", f"offset={at}&live=sse") as stream:
            await control(stream)
            poll = asyncio.create_task(client.call("GET", f"a?offset={at}&live=long-poll"))
            await eventually(lambda: client.server.app.state.context.drain.open == 2)
            await client.call("DELETE", "a")
            assert not any("streamClosed" in event.data for event in await stream.events())
        assert (await poll).status_code == 404
        await client.make("a", b"y")
        # An offset of the old stream does not name bytes of the new one.
        async with await client.read("a", f"offset={at}") as stale:
            assert stale.status == 410


async def test_many_polls_are_answered_at_once_and_give_their_permits_back() -> None:
    async with serving(limit_streams=50) as client:
        at = await client.make("a")
        drain = client.server.app.state.context.drain
        polls = [
            asyncio.create_task(client.call("GET", f"a?offset={at}&live=long-poll"))
            for _ in range(50)
        ]
        await eventually(lambda: drain.open == 50)
        assert (await client.call("GET", f"a?offset={at}&live=long-poll")).status_code == 429
        await client.append("a", b"hello")
        answers = await asyncio.gather(*polls)
        assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"hello")}
        assert drain.open == 0


async def test_a_drain_ends_readers_with_their_offset_and_answers_polls() -> None:
    async with serving(drain_window=0.2) as client:
        at = await client.make("a", b"x")
        async with await client.read("a", f"offset={at}&live=sse") as stream:
            await control(stream)
            poll = asyncio.create_task(client.call("GET", f"a?offset={at}&live=long-poll"))
            await eventually(lambda: client.server.app.state.context.drain.open == 2)
            await client.server.stop()
            last = (await stream.events())[-1]
            assert last.event == "control"
            assert json.loads(last.data)["streamNextOffset"] == at
            assert stream.clean
        answer = await poll
        assert (answer.status_code, answer.headers["stream-next-offset"]) == (204, at)


async def test_a_reader_is_ended_after_its_time_and_comes_back() -> None:
    async with serving(sse=0.5) as client:
        await client.make("a", b"x")
        async with await client.read("a", "offset=-1&live=sse") as stream:
            events = await stream.events()
            assert stream.clean
        assert json.loads(events[-1].data)["upToDate"]


@pytest.mark.parametrize("path", ["a%20b", "%F1%AC%91%97/%C2%8A", "a%25b", "a;b=c"])
async def test_the_address_of_a_new_stream_is_a_url_whatever_its_name_is(path: str) -> None:
    """RFC 9110 section 10.2.2: Location is a URI, which is ASCII. Another was a 500."""
    async with serving() as client:
        made = await client.call("PUT", path, headers=TEXT)
        assert made.status_code == 201
        assert made.headers["location"] == f"{client.server.url}/v1/stream/{path}"
        assert (await client.http.get(made.headers["location"])).status_code == 200
