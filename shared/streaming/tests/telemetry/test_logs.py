import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
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
    """Undoes the changes of `configure`, or the tests after this one would log elsewhere."""
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


async def test_a_request_is_written_in_the_next_turn_and_before_other_lines(
    root_logger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonlog.configure("info")
    jsonlog.request(scope(path="/a"), 200)
    assert capsys.readouterr().err == ""
    await asyncio.sleep(0)
    assert json.loads(capsys.readouterr().err)["path"] == "/a"
    jsonlog.request(scope(path="/b"), 200)
    logging.getLogger("demo").error("broken")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["path"], second["message"]) == ("/b", "broken")


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
