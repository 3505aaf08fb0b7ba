"""`make run` on a laptop: it says where it is, and Ctrl-C ends it with everything open."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eddyline.service.registry import registrations
from eddyline.testing import eventually

#: Seconds that Ctrl-C may take, and one more where coverage writes its data then.
PATIENCE = 2.0 if not os.environ.get("COVERAGE_PROCESS_CONFIG") else 3.0


@pytest.fixture
def suite(launch) -> Iterator:  # type: ignore[no-untyped-def,type-arg]
    began = time.monotonic()
    with launch("eddyline_standalone") as served:
        served.start_took = time.monotonic() - began
        yield served


async def test_ctrl_c_ends_it_within_two_seconds_with_streams_open(suite, get) -> None:  # type: ignore[no-untyped-def]
    events = await get(f"{suite.url}/events")
    logs = await get(f"{suite.url}/logs/app.log")
    chat = await get(f"{suite.url}/chat/stream", method="POST", body=b'{"message": "%s"}' % b"x")
    # These two read nothing: their bytes stand in buffers, here and in the kernel.
    stalled = [
        await get(f"{suite.url}{path}", receive_buffer=4096)
        for path in ("/users/stream", "/download/huge.bin", "/events")
    ]
    idle = await asyncio.open_connection("127.0.0.1", suite.port)
    assert (await events.event()) is not None

    began = time.monotonic()
    suite.process.send_signal(signal.SIGINT)
    await events.body()
    await logs.body()
    await chat.body()
    assert await asyncio.to_thread(suite.process.wait, 20) == 0
    took = time.monotonic() - began

    # Where the machine is busy with something else, all takes longer: as much as the start did.
    assert took < max(PATIENCE, suite.start_took), suite.output()
    assert events.clean
    assert logs.clean
    assert "Traceback" not in suite.output()
    assert len(stalled) == 3
    idle[1].close()


async def test_a_second_ctrl_c_ends_it_at_once(launch, get) -> None:  # type: ignore[no-untyped-def]
    with launch("eddyline_standalone", EDDYLINE_DRAIN_WINDOW="60") as suite:
        for path in ("/events", "/logs/app.log", "/users/stream", "/download/huge.bin"):
            await get(f"{suite.url}{path}", receive_buffer=4096)
        suite.process.send_signal(signal.SIGINT)
        # It drains as soon as it takes no new connection, or says so.
        await eventually(lambda: refuses(suite.port))
        suite.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(suite.process.wait, 5) == 0
        assert "Traceback" not in suite.output()


def refuses(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as sock:
            sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b" 503 " in sock.recv(4096)
    except OSError:
        return True


def test_the_terminal_shows_where_it_is_and_what_to_try(suite) -> None:  # type: ignore[no-untyped-def]
    text = suite.output()
    for path in ("/ ", "/docs", "/files", "/events", "/logs", "/chat", "/users/stream"):
        assert suite.url + path in text
    assert text.count("  curl ") == 3
    assert "Authentication is off: only this machine can connect." in text
    assert "{" not in text, "no logs of a start that went well"


def test_with_a_key_the_lines_to_try_work_as_they_are_printed(launch) -> None:  # type: ignore[no-untyped-def]
    with launch("eddyline_standalone", EDDYLINE_AUTH_KEY="k" * 32) as suite:
        text = suite.output()
        assert "Authentication is on." in text
        [export] = re.findall(r"^  (export EDDYLINE_TOKEN=.+)$", text, re.MULTILINE)
        commands = re.findall(r"^  (curl .+)$", text, re.MULTILINE)
        assert len(commands) == 3
        for command in commands:
            done = subprocess.run(
                # A stream goes on: its first line is enough.
                ["sh", "-c", f"{export}; {command.replace('curl ', 'curl -sS ')} | head -n 1"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.stdout, done.stderr
            assert "Unauthorized" not in done.stdout


@pytest.mark.parametrize(
    "module", [["eddyline_standalone"], ["eddyline_standalone.serve", "events"]]
)
def test_a_port_in_use_is_said_in_a_line(
    module: list[str], environment: dict[str, str], data: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", *module, "--data", str(data), "--port", port]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert f"127.0.0.1 port {port} is in use" in done.stderr
    assert "Try " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_open_to_others_needs_a_key(environment: dict[str, str], data: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "eddyline_standalone",
        "--data",
        str(data),
        "--host",
        "0.0.0.0",
    ]
    done = subprocess.run(
        [*command, "--port", "0"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3
    assert "EDDYLINE_AUTH_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_service_is_told_the_known_ones(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "eddyline_standalone.serve", "evens"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    for name in ("evens", *registrations()):
        assert name in done.stderr
