import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from select import PIPE_BUF
from typing import Any

import pytest

from eddyline.telemetry import logs as jsonlog


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "demo", "msg": message, "args": arguments, **extra})
    made.created, made.msecs = 1_700_000_000.25, 250.0
    made.levelname = "WARNING"
    return made


def line(made: logging.LogRecord) -> dict[str, Any]:
    text = jsonlog.JsonFormatter().format(made)
    assert "\n" not in text
    return dict(json.loads(text))


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Puts back what `configure` changes, or the tests after this one would log elsewhere."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_json_object() -> None:
    assert line(record("lag of %d", 7, hub="a")) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "demo",
        "message": "lag of 7",
        "hub": "a",
    }


def test_a_forged_line_stays_inside_its_string() -> None:
    forged = 'x\n{"level": "info", "message": "all is well"}'
    assert line(record("%s", forged))["message"] == forged


@pytest.mark.parametrize(
    "value", ["\udcff", 2**70, {1: "a"}, {(1, 2): "a"}, object(), b"bytes", float("nan")]
)
def test_no_value_costs_the_line(value: object) -> None:
    # \udcff is how Python spells the byte ff in a file name
    assert line(record("odd", thing=value))["message"] == "odd"


def test_an_exception_is_kept() -> None:
    try:
        raise ValueError("broken pipe")
    except ValueError as error:
        made = record("failed", exc_info=(type(error), error, error.__traceback__))
    assert "ValueError: broken pipe" in line(made)["exception"]


def test_all_loggers_write_json_to_standard_error(
    root_logger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonlog.configure("info")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.access").info("GET /secret?token=1")
    logging.getLogger("httpx").info("noise")
    logging.getLogger("demo").debug("too fine")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(text)["message"] for text in captured.err.splitlines()] == ["started"]


def scope(**more: object) -> dict[str, Any]:
    given = {"method": "GET", "path": "/a", "request_id": "r1", "client": ("::1", 9)}
    return {"headers": [], **given, **more}


def test_a_request_is_logged_without_its_query(
    root_logger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonlog.configure("info")
    jsonlog.request(scope(query_string=b"ticket=secret"), 200)
    logged = json.loads(capsys.readouterr().err)
    assert (logged["path"], logged["status"], logged["client"]) == ("/a", 200, "::1")
    assert "secret" not in json.dumps(logged)


def test_probes_are_quiet_until_they_fail(
    root_logger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonlog.configure("info")
    jsonlog.request(scope(path="/readyz", client=None), 200)
    assert capsys.readouterr().err == ""
    jsonlog.request(scope(path="/readyz", client=None), 503)
    assert json.loads(capsys.readouterr().err)["status"] == 503


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("traceparent", "known"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", True),
        (f"cc-{TRACE}-00f067aa0ba902b7-01-of-a-later-version", True),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}-00f067aa0ba902b7-01x", False),
        ("", False),
    ],
)
def test_a_trace_that_the_caller_names_is_in_the_line(
    root_logger: None, capsys: pytest.CaptureFixture[str], traceparent: str, known: bool
) -> None:
    jsonlog.configure("info")
    jsonlog.request(scope(headers=[(b"traceparent", traceparent.encode())]), 200)
    logged = json.loads(capsys.readouterr().err)
    assert logged.get("trace_id") == (TRACE if known else None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"abc-1.2_X", True),
        (b"a" * 64, True),
        (b"a" * 65, False),
        (b"", False),
        (b"a b", False),
        (b"a\n", False),
        (b'"}', False),
    ],
)
def test_only_a_harmless_request_id_is_kept(given: bytes, kept: bool) -> None:
    made = jsonlog.request_id({"headers": [(b"x-request-id", given)]})
    assert (made == given.decode()) is kept


def test_request_ids_differ() -> None:
    assert len({jsonlog.request_id({"headers": []}) for _ in range(100)}) == 100


def test_request_ids_are_a_counter_behind_one_random_prefix() -> None:
    some, others = jsonlog._ids(), jsonlog._ids()
    first, second, other = next(some), next(some), next(others)
    assert re.fullmatch("[0-9a-f]{14}", first)
    assert (first[8:], second[8:]) == ("000000", "000001")
    assert first[:8] == second[:8] != other[:8]


class Recorder(io.StringIO):
    """A stream that keeps each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


@pytest.fixture
def record_writes(root_logger: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Recorder]:
    """Configures logging, and returns what it writes to. For the body of a test: pytest has put
    its own stream and handlers in by then.
    """

    def start() -> Recorder:
        recorder = Recorder()
        monkeypatch.setattr(sys, "stderr", recorder)
        jsonlog.configure("info")
        return recorder

    return start


def logged(text: str) -> list[str]:
    """The path of each request, and the message of other lines."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line.get("path", line["message"]) for line in lines]


async def test_requests_of_one_turn_are_one_write(record_writes: Callable[[], Recorder]) -> None:
    stderr = record_writes()
    for path in ("/a", "/b", "/c"):
        jsonlog.request(scope(path=path), 200)
    assert stderr.writes == []
    await asyncio.sleep(0)
    assert [logged(text) for text in stderr.writes] == [["/a", "/b", "/c"]]
    jsonlog.request(scope(path="/d"), 200)
    await asyncio.sleep(0)
    assert [logged(text) for text in stderr.writes[1:]] == [["/d"]]


async def test_lines_of_other_loggers_are_written_at_once_and_in_order(
    record_writes: Callable[[], Recorder],
) -> None:
    stderr = record_writes()
    jsonlog.request(scope(path="/a"), 200)
    logging.getLogger("demo").error("broken")
    assert [logged(text) for text in stderr.writes] == [["/a", "broken"]]
    await asyncio.sleep(0)
    assert len(stderr.writes) == 1


async def test_a_write_holds_whole_lines_and_no_more_than_a_pipe_takes_at_once(
    record_writes: Callable[[], Recorder],
) -> None:
    stderr = record_writes()
    paths = [f"/{'é' * (number % 40)}/{number}" for number in range(200)]
    for path in paths:
        jsonlog.request(scope(path=path), 200)
    await asyncio.sleep(0)
    assert [path for text in stderr.writes for path in logged(text)] == paths
    assert 1 < len(stderr.writes) < 20
    assert all(text.endswith("\n") for text in stderr.writes)
    assert max(len(text.encode()) for text in stderr.writes) <= PIPE_BUF


def test_lines_that_a_loop_left_behind_are_written_by_the_next(
    record_writes: Callable[[], Recorder],
) -> None:
    stderr = record_writes()

    async def one(path: str) -> None:
        jsonlog.request(scope(path=path), 200)

    loop = asyncio.new_event_loop()
    loop.call_soon(loop.stop)
    loop.call_soon(lambda: jsonlog.request(scope(path="/left"), 200))
    loop.run_forever()
    loop.close()
    assert stderr.writes == []
    asyncio.run(one("/next"))
    assert [logged(text) for text in stderr.writes] == [["/left", "/next"]]


async def test_lines_are_written_before_the_stream_is_another_one(
    record_writes: Callable[[], Recorder],
) -> None:
    stderr = record_writes()
    jsonlog.request(scope(path="/a"), 200)
    other = record_writes()
    assert [logged(text) for text in stderr.writes] == [["/a"]]
    await asyncio.sleep(0)
    assert other.writes == []


async def test_a_stream_that_is_closed_fails_no_request(
    record_writes: Callable[[], Recorder],
) -> None:
    stderr = record_writes()
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    stderr.write = io.StringIO.write.__get__(stderr)  # type: ignore[method-assign]
    stderr.close()
    jsonlog.request(scope(path="/a"), 200)
    await asyncio.sleep(0)
    assert errors == []


async def test_handlers_of_others_get_records(
    root_logger: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        jsonlog.request(scope(path="/a"), 200)
    assert [vars(record)["path"] for record in caplog.records] == ["/a"]


EXITS = """
import asyncio, sys
from eddyline.telemetry import logs

async def main():
    logs.request({"headers": [], "method": "GET", "path": "/last", "request_id": "r"}, 200)
    %s

logs.configure("info")
asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["sys.exit(1)", "raise ValueError", "return", "input()"])
def test_no_line_is_lost_when_the_process_ends_within_the_turn(end: str) -> None:
    command = [sys.executable, "-c", EXITS % end]
    done = subprocess.run(command, input="", stderr=subprocess.PIPE, text=True, timeout=60)
    assert '"path":"/last"' in done.stderr
