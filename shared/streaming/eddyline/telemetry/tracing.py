"""Traces by OpenTelemetry: a request's route, without its query; a span for each stream.

FastAPI makes the span of a request, which ends with it: a stream that has detached goes on. The
library alone does not import this module.
"""

import time
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode
from starlette.types import Scope

from eddyline.telemetry.base import QUIET_PATHS, Reason, StreamMeter

_tracer: Final = trace.get_tracer("eddyline")


def untraced(scope: Scope) -> bool:
    """Whether a request has no span: it is a probe, or a scrape."""
    return scope["path"] in QUIET_PATHS


def hide_query(scope: Scope) -> None:
    """Takes the query out of the request's span: it can hold a token, or a ticket."""
    if scope["query_string"]:
        trace.get_current_span().set_attribute("url.query", "REDACTED")


def name_route(scope: Scope, route: str) -> None:
    """Names the request's span by a route that FastAPI does not see."""
    span = trace.get_current_span()
    span.set_attribute("http.route", route)
    span.update_name(f"{scope['method']} {route}")


def stream_span() -> "StreamSpan | None":
    """The span of a stream that the present request begins; None where its trace is not kept."""
    parent = trace.get_current_span().get_span_context()
    return StreamSpan(parent) if parent.is_valid and parent.trace_flags.sampled else None


class StreamSpan:
    """The span of one stream, from its request on; a child of the request's span.

    It is made when the stream ends: an open stream keeps its parent's ids and two counts alone.
    """

    __slots__ = ("_began", "_bytes", "_events", "_parent")

    def __init__(self, parent: SpanContext) -> None:
        self._parent = parent
        self._began = time.time_ns()
        self._events = 0
        self._bytes = 0

    def count(self, events: int, size: int) -> None:
        self._events += events
        self._bytes += size

    def end(self, meter: StreamMeter, reason: Reason) -> None:
        attributes: dict[str, str | int] = {
            "eddyline.service": meter.service,
            "eddyline.stream.kind": meter.kind,
            "eddyline.stream.end_reason": reason,
            "eddyline.stream.bytes": self._bytes,
        }
        if meter.kind == "broadcast":
            attributes["eddyline.stream.events"] = self._events
        span = _tracer.start_span(
            f"stream {meter.service}",
            trace.set_span_in_context(NonRecordingSpan(self._parent)),
            attributes=attributes,
            start_time=self._began,
        )
        if reason == "failed":
            span.set_status(StatusCode.ERROR)
        span.end()
