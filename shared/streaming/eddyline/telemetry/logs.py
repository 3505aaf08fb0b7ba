"""Logs: one JSON object a line on standard error, without query strings: they can hold tokens."""

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson
from starlette.types import Scope

from eddyline.telemetry.base import QUIET_PATHS, Reason, StreamMeter
from eddyline.telemetry.turn_handler import TurnHandler

_root = logging.getLogger()
#: The one of `configure`. Where the root logger has others, they get records as usual.
_handler: TurnHandler | None = None
_access = logging.getLogger("eddyline.access")
_streams = logging.getLogger("eddyline.stream")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")
#: W3C Trace Context: version, trace, parent, flags. All zeros, and the version ff, are invalid.
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|\Z)"
)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        message = record.getMessage()
        return _line(record.created, record.levelname.lower(), record.name, message, fields)


def _line(moment: float, level: str, logger: str, message: str, fields: dict[str, Any]) -> str:
    line = {
        "time": f"{_second(int(moment))}.{int(moment % 1 * 1000):03d}Z",
        "level": level,
        "logger": logger,
        "message": message,
        **fields,
    }
    try:
        return orjson.dumps(line, default=str).decode()
    except TypeError:  # a file name that is not UTF-8, a key that is no text, a huge number
        texts = {k: v if isinstance(v, str) else repr(v) for k, v in line.items()}
        return json.dumps(texts)


@lru_cache(1)
def _second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


def configure(level: str) -> None:
    """All loggers of this process, uvicorn's included, write JSON to standard error."""
    # No line tells them, and each costs a look-up per record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    global _handler
    _handler = TurnHandler(sys.stderr)
    _handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[_handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # One access line a request is ours, in app.py; the HTTP clients' own are noise beside it.
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def request_id(scope: Scope) -> str:
    """The caller's X-Request-ID where it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.match(value):
            return str(value.decode())
    return next(_new_ids)


def _ids() -> Iterator[str]:
    """Ids of 14 characters, which fit into 64 bytes: an open stream keeps its own."""
    while True:
        prefix = secrets.token_hex(4)  # at the first request: not before a worker is forked
        for number in range(16**6):
            yield f"{prefix}{number:06x}"


_new_ids = _ids()


def trace_id(scope: Scope) -> str | None:
    """The id of the trace that the request is part of, by the caller's `traceparent`."""
    for name, value in scope["headers"]:
        if name == b"traceparent" and (match := _TRACEPARENT.match(value)):
            return str(match[1].decode())
    return None


def request(scope: Scope, status: int) -> None:
    quiet = scope["path"] in QUIET_PATHS and status < 400
    level = logging.DEBUG if quiet else logging.INFO
    if _access.isEnabledFor(level):
        client = scope.get("client")
        fields = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "client": client[0] if client else None,
            "request_id": scope["request_id"],
        }
        if (trace := trace_id(scope)) is not None:
            fields["trace_id"] = trace
        _write(_access, level, "request", fields)


def logs_ends() -> bool:
    """Whether `stream_ended` writes anything."""
    return _streams.isEnabledFor(logging.INFO)


def stream_ended(
    meter: StreamMeter, reason: Reason, seconds: float, request_id: str | None, **more: Any
) -> None:
    if logs_ends():
        fields = {
            "service": meter.service,
            "kind": meter.kind,
            "reason": reason,
            "seconds": round(seconds, 3),
            "request_id": request_id,
            **more,
        }
        _write(_streams, logging.INFO, "stream ended", fields)


def _write(logger: logging.Logger, level: int, message: str, fields: dict[str, Any]) -> None:
    if _handler is not None and _root.handlers == [_handler]:
        name = "info" if level == logging.INFO else "debug"
        _handler.write_soon(_line(time.time(), name, logger.name, message, fields))
        return
    # Not `logger.log`: that looks for its caller, and checks each field's name.
    record = logging.LogRecord(logger.name, level, "", 0, message, (), None)
    vars(record).update(fields)
    logger.handle(record)
