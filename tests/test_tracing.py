"""A service sends its spans by OTLP, where the variables of OpenTelemetry name a collector."""

import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from eddyline.testing import fetch


class Collector(ThreadingHTTPServer):
    """Takes `POST /v1/traces` (OTLP 1.x over HTTP, protobuf); `spans` are those that it got."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.others: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                [name] = [
                    a.value.string_value
                    for a in resource.resource.attributes
                    if a.key == "service.name"
                ]
                spans = [span for scope in resource.scope_spans for span in scope.spans]
                self.server.spans += [(name, span) for span in spans]
        else:
            self.server.others.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]], ids=["process", "gunicorn"])
async def test_spans_reach_a_collector(
    launch: Any, collector: Collector, workers: list[str]
) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SERVICE_NAME": "events",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "EDDYLINE_DRAIN_WINDOW": "0.2",
    }
    with launch("eddyline_standalone.serve", "events", *workers, **variables) as served:
        async with await fetch(served.url + "/events?topic=demo") as stream:
            assert await stream.event() is not None
            assert served.end(signal.SIGTERM) == 0
    found = {span.name: (name, span) for name, span in collector.spans}
    assert set(found) == {"GET /events", "stream events"}
    (service, request), (_, stream_span) = found["GET /events"], found["stream events"]
    assert service == "events"
    assert stream_span.parent_span_id == request.span_id
    assert stream_span.end_time_unix_nano > request.end_time_unix_nano
    told = {a.key: a.value.string_value or a.value.int_value for a in stream_span.attributes}
    assert told["eddyline.stream.end_reason"] == "drain"
    assert told["eddyline.stream.events"] >= 1
    assert collector.others == []
