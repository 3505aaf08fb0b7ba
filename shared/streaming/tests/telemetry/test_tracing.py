"""Traces on real servers, by OpenTelemetry's own SDK and its exporter into memory."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, Request, Response
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from eddyline.auth.principal import UNRESTRICTED
from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.journal.base import NewEntry
from eddyline.journal.memory import MemoryJournal
from eddyline.responses.pull import PullResponse
from eddyline.service.app import Context, Service, create_app
from eddyline.service.raw_route import RawRoute
from eddyline.service.settings import Settings
from eddyline.telemetry.base import NoStreamMeter
from eddyline.testing import Running, Stream, eventually, fetch, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}

#: One for all tests: a tracer that has found its provider keeps it.
_exporter = InMemorySpanExporter()
_provider = TracerProvider(shutdown_on_exit=False)
_provider.add_span_processor(SimpleSpanProcessor(_exporter))


class Traces:
    """The spans that were exported, by name."""

    def all(self, name: str) -> list[ReadableSpan]:
        return [span for span in _exporter.get_finished_spans() if span.name == name]

    async def one(self, name: str) -> ReadableSpan:
        await eventually(lambda: self.all(name))
        [span] = self.all(name)
        return span

    @property
    def names(self) -> list[str]:
        return [span.name for span in _exporter.get_finished_spans()]


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Traces:
    _exporter.clear()
    # Not `set_tracer_provider`, which can't be taken back: other tests of this process go untraced.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", _provider)
    return Traces()


class Site:
    """`GET /events` is a raw route to a broadcast, `GET /rows/{count}` pulls."""

    def __init__(self) -> None:
        self.context = Context.from_settings(Settings(drain_window=0.2, log_level="warning"))
        self.journal = MemoryJournal()
        meter = NoStreamMeter("demo", "broadcast")
        policy, drain = self.context.settings.policy, self.context.drain
        self.broadcast = Broadcast(self.journal, meter, policy, drain)
        routes = APIRouter()
        after = {"parameters": [{"name": "after", "in": "query"}]}
        routes.add_api_route(
            "/events", self.events, route_class_override=RawRoute, openapi_extra=after
        )
        routes.add_api_route("/rows/{count}", self.rows)
        service = Service("demo", routes, self.broadcast.run)
        self.app = create_app(self.context, [service], "Demo")
        self.gate = asyncio.Event()
        self.running: Running

    async def events(self, request: Request) -> Response:
        selector = Topics(frozenset({"t"}))
        after = await self.broadcast.locate(request.query_params.get("after"), selector)
        with self.context.limits.for_request(request, UNRESTRICTED) as permit:
            return self.broadcast.response(permit, selector, after=after)

    async def rows(self, count: int, request: Request) -> Response:
        async def lines() -> AsyncIterator[bytes]:
            yield b"row\n"
            await self.gate.wait()
            for number in range(count - 1):
                yield b"row\n"
                if number == 5:
                    raise RuntimeError("the database is gone")

        with self.context.limits.for_request(request, UNRESTRICTED) as permit:
            context = self.context.stream(NoStreamMeter("demo", "pull"), permit)
            return PullResponse(lines(), context)

    @asynccontextmanager
    async def run(self, **options: Any) -> AsyncIterator["Site"]:
        async with running(self.app, **options) as self.running:
            yield self

    async def get(self, path: str, **headers: str) -> Stream:
        return await fetch(self.running.url + path, headers=headers)

    async def publish(self, *texts: str) -> None:
        await self.journal.append([NewEntry("t", text) for text in texts])


@pytest.fixture(params=["detached", "asgi"])
async def site(request: pytest.FixtureRequest, traces: Traces) -> AsyncIterator[Site]:
    options = {"http": "httptools"} if request.param == "asgi" else {}
    async with Site().run(**options) as site:
        yield site


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


async def test_a_stream_has_a_span_that_lasts_as_long_as_it(site: Site, traces: Traces) -> None:
    await site.publish("before")
    began = asyncio.get_running_loop().time()
    stream = await site.get("/events?after=earliest", **PARENT)
    assert (await stream.event()).data == "before"  # type: ignore[union-attr]
    await eventually(lambda: site.broadcast.subscribers)
    for number in range(3):
        await site.publish(f"live {number}")
        assert (await stream.event()).data == f"live {number}"  # type: ignore[union-attr]
    assert traces.all("stream demo") == []
    lasted = asyncio.get_running_loop().time() - began
    await site.running.stop()

    request = await traces.one("GET /events")
    span = await traces.one("stream demo")
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id  # type: ignore[union-attr]
    assert f"{span.get_span_context().trace_id:032x}" == TRACE  # type: ignore[union-attr]
    assert seconds(span) >= lasted
    found = attributes(span)
    assert found.pop("eddyline.stream.bytes") > 4 * len("data: live 0\n\n")
    assert found == {
        "eddyline.service": "demo",
        "eddyline.stream.kind": "broadcast",
        "eddyline.stream.end_reason": "drain",
        "eddyline.stream.events": 4,
    }


async def test_each_subscriber_counts_its_own(site: Site, traces: Traces) -> None:
    """Events of before it came, and of after it left, are in the total of its audience."""
    first = await site.get("/events")
    await eventually(lambda: len(site.broadcast.subscribers) == 1)
    await site.publish("1")
    await first.event()
    second = await site.get("/events")
    await eventually(lambda: len(site.broadcast.subscribers) == 2)
    await site.publish("2")
    for stream in (first, second):
        await stream.event()
    first.reset()
    await eventually(lambda: len(site.broadcast.subscribers) == 1)
    await site.publish("3")
    await second.event()
    second.reset()
    await eventually(lambda: len(traces.all("stream demo")) == 2)
    ends = [attributes(span) for span in traces.all("stream demo")]
    assert [end["eddyline.stream.events"] for end in ends] == [2, 2]
    assert {end["eddyline.stream.end_reason"] for end in ends} == {"client_closed"}


async def test_a_detached_request_is_no_failed_one(site: Site, traces: Traces) -> None:
    stream = await site.get("/events")
    await eventually(lambda: site.broadcast.subscribers)
    stream.reset()
    await eventually(lambda: not site.broadcast.subscribers)
    if site.running.server.config.http != "httptools":
        span = await traces.one("GET /events")
        assert span.status.status_code is StatusCode.UNSET
        assert "error.type" not in attributes(span)


@pytest.mark.parametrize(("count", "reason"), [(3, "complete"), (9, "failed")])
async def test_a_pulled_body_has_its_bytes_and_end(
    site: Site, traces: Traces, count: int, reason: str
) -> None:
    site.gate.set()
    await (await site.get(f"/rows/{count}")).body()
    span = await traces.one("stream demo")
    assert attributes(span) == {
        "eddyline.service": "demo",
        "eddyline.stream.kind": "pull",
        "eddyline.stream.end_reason": reason,
        "eddyline.stream.bytes": 4 * min(count, 7),
    }
    failed = StatusCode.ERROR if reason == "failed" else StatusCode.UNSET
    assert span.status.status_code is failed


async def test_raw_routes_have_their_names(site: Site, traces: Traces) -> None:
    site.gate.set()
    await (await site.get("/rows/1")).body()
    (await site.get("/events")).reset()
    for name, route in (("GET /rows/{count}", "/rows/{count}"), ("GET /events", "/events")):
        assert attributes(await traces.one(name))["http.route"] == route


async def test_no_query_is_exported(site: Site, traces: Traces) -> None:
    """It can hold a token (RFC 6750 section 2.3, Mercure's `authorization`) or a ticket."""
    (await site.get("/events?authorization=s3cret")).reset()
    span = await traces.one("GET /events")
    assert "s3cret" not in span.to_json()
    assert attributes(span)["url.query"] == "REDACTED"


async def test_probes_and_scrapes_have_no_span(site: Site, traces: Traces) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/nothing"):
        await (await site.get(path)).body()
    await eventually(lambda: traces.names)
    assert {span.attributes["url.path"] for span in _exporter.get_finished_spans()} == {"/nothing"}  # type: ignore[index]


async def test_a_trace_that_its_caller_does_not_keep_has_no_span(
    site: Site, traces: Traces
) -> None:
    stream = await site.get("/events", **UNSAMPLED)
    await eventually(lambda: site.broadcast.subscribers)
    [subscriber] = site.broadcast.subscribers
    assert subscriber._permit.trace is None
    stream.reset()
    await eventually(lambda: not site.broadcast.subscribers)
    assert traces.names == []


ALONE = """
import sys
sys.modules["opentelemetry"] = None  # an import of it fails
import eddyline
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
hub = eddyline.Hub()
async def events(request):
    await hub.publish("t", "kept")
    return await hub.subscribe(request, topics=["t"])
app = Starlette(routes=[Route("/events", events)], lifespan=hub.lifespan)
with TestClient(app) as client:
    print(client.get("/events?after=earliest&poll=1").text)
"""


def test_the_library_alone_works_without_opentelemetry() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=60)
    assert "kept" in done.stdout, done.stderr


WITHOUT_SDK = """
import sys
sys.modules["opentelemetry.sdk"] = None
sys.modules["opentelemetry.exporter"] = None
from eddyline.service.app import Context, create_app
from eddyline.service.settings import Settings
from starlette.testclient import TestClient
with TestClient(create_app(Context.from_settings(Settings()), [], "x")) as client:
    print(client.get("/livez").json())
"""


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9"])
def test_a_service_starts_without_the_sdk(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    command = [sys.executable, "-c", WITHOUT_SDK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "alive" in done.stdout, done.stderr
    assert ("automatic telemetry" in done.stderr) == bool(endpoint)
