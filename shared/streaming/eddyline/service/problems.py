"""Every error of a service as an HTTP answer, counted: RFC 9457 problem+json, or the form of the
protocol that its path speaks.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from eddyline.connection.refusal import headers_of, problem_document, refusal
from eddyline.errors import StreamingError
from eddyline.telemetry import metrics

#: One bad list must not become an answer of megabytes.
MAX_FAULTS = 10


class ErrorForm(Protocol):
    """The errors of some paths, in the form of a protocol whose clients know no problems."""

    def speaks(self, path: str) -> bool:
        """Whether the errors of a path have this form."""

    def response(
        self, status: int, detail: str, headers: dict[str, str], error: StreamingError | None
    ) -> Response:
        """The answer; `error` is None for errors that the framework found."""


def problem(
    request: Request, status: int, title: str, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """A problem document, or the path's own form of one, counted."""
    metrics.problems.labels(status).inc()
    if (form := _form(request)) is not None:
        return form.response(status, detail, headers or {}, None)
    return problem_document(request, status, title, detail, headers)


async def on_streaming_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StreamingError)
    form = _form(request)
    if form is None or error.status == 500:
        response = refusal(request, error)
    else:
        response = form.response(error.status, error.detail, headers_of(error), error)
    soft = response.status_code == 200
    (metrics.soft_refusals if soft else metrics.problems.labels(response.status_code)).inc()
    return response


async def on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail, headers = str(error.detail), dict(error.headers or {})
    if error.status_code == 404 and detail == "Not Found":
        # Not `request.url`: that is made of the Host header, and spells the path its own way.
        detail = f"there is nothing at {_short(request.scope['path'])}"
    if error.status_code == 405 and (allowed := _allowed(request)):
        headers["Allow"] = allowed
        detail = f"{_short(request.scope['path'])} takes {allowed}, not {request.method}"
    title = "Not found" if error.status_code == 404 else str(error.detail)
    return problem(request, error.status_code, title, detail, headers)


async def on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # A parameter that an endpoint and its dependency both declare has each fault twice.
    found = list(dict.fromkeys(_fault(e) for e in error.errors()))
    faults = found[:MAX_FAULTS]
    if len(found) > MAX_FAULTS:
        faults.append(f"and {len(found) - MAX_FAULTS} more")
    return problem(request, 422, "Bad request", "; ".join(faults))


async def on_crash(request: Request, error: Exception) -> Response:
    """The cause goes to the log, never to the client."""
    return problem(request, 500, "Internal error", "the server failed; its log has the cause")


def _form(request: Request) -> ErrorForm | None:
    forms: Sequence[ErrorForm] = getattr(request.app.state, "error_forms", ())
    return next((form for form in forms if form.speaks(request.scope["path"])), None)


def _allowed(request: Request) -> str:
    """All methods that the path takes; Starlette's own header names those of one route."""
    methods: set[str] = set()
    for route in every_route(request.app.routes):
        if route.matches(request.scope)[0] is Match.PARTIAL:
            methods |= route.methods
    return ", ".join(sorted(methods))


def every_route(routes: Sequence[Any]) -> Iterator[Any]:
    """The routes, and those of the routers among them, which FastAPI includes as one route each."""
    for route in routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from every_route(router.routes)
        else:
            yield route


def _fault(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])[:200]
    return f"{place}: {error['msg']} (got {_short(error.get('input'))})"


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def install(app: FastAPI) -> None:
    app.add_exception_handler(StreamingError, on_streaming_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(Exception, on_crash)
