"""`eddyline doctor` names each fault that is set up on the way, and no other."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from eddyline.__main__ import main
from eddyline.cli.doctor.base import Case, Finding
from eddyline.cli.doctor.command import examine
from eddyline.cli.doctor.streams import buffering
from eddyline.testing import free_port, running, serving, wait_until
from eddyline_events.app import create_app
from eddyline_events.settings import EventsSettings

KEY = "k" * 32
ORIGIN = "https://app.example"
GOOD = "proxy_http_version 1.1; proxy_buffering off;"


async def examined(url: str, **options: Any) -> dict[str, Finding]:
    """The findings by their checks."""
    asked: dict[str, Any] = {"token": None, "origin": ORIGIN, "patience": 2.0, "idle": 3.0}
    async with httpx.AsyncClient() as client:
        case = Case(url, client=client, **asked | options)
        return {each.check: each for each in await examine(case, as_json=True)}


def faults(findings: dict[str, Finding]) -> dict[str, Finding]:
    return {name: each for name, each in findings.items() if each.state == "fault"}


@asynccontextmanager
async def hub(**settings: Any) -> AsyncIterator[str]:
    usual: dict[str, Any] = {"heartbeat": 1.3, "cors_origins": (ORIGIN,)}
    async with running(create_app(EventsSettings(**usual | settings))) as started:
        yield started.url


@pytest.fixture
def nginx(tool: Callable[..., str], tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """Runs one before a URL, with some directives: its URL."""
    program = tool("nginx", "/usr/sbin/nginx")
    started: list[subprocess.Popen[bytes]] = []

    def start(upstream: str, directives: str) -> str:
        port = free_port()
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
        file, log = tmp_path / "nginx.conf", tmp_path / "errors"
        file.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {log} warn; events {{}}\n"
            f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port};\n"
            f"location / {{ proxy_pass {upstream};\n{directives} }} }} }}"
        )
        process = subprocess.Popen([program, "-c", file, "-e", log], stderr=subprocess.DEVNULL)
        started.append(process)
        wait_until(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_good_way_has_no_fault(nginx: Callable[[str, str], str]) -> None:
    async with hub() as url:
        findings = await examined(await asyncio.to_thread(nginx, url, GOOD))
    assert faults(findings) == {}
    good = {name for name, each in findings.items() if each.state == "ok"}
    assert good == {"reached", "ready", "clock", "token", "cors", "buffering", "resume", "idle"}


async def test_a_proxy_that_buffers_is_named(nginx: Callable[[str, str], str]) -> None:
    # By HTTP/1.0, nginx's default of old, an answer has no chunks, and buffers are sent when full.
    directives = "proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering;"
    async with hub(heartbeat=15.0) as url:
        behind = await asyncio.to_thread(nginx, url, directives)
        findings = await examined(behind, idle=0.0, patience=1.5)
    assert set(faults(findings)) == {"buffering"}
    assert "holds them back" in findings["buffering"].text
    assert "proxy_buffering off" in findings["buffering"].fix


async def test_first_bytes_that_pass_prove_nothing_of_an_event() -> None:
    """A proxy may hand on the bytes that came with the head, and hold back all later ones."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        ends = b"poll=1" in head or head.startswith(b"POST")
        length = "Content-Length: 2\r\n\r\n{}" if ends else "\r\n:\n\n"
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{length}".encode())
        await writer.drain()
        if not ends:
            for _ in range(3):
                writer.write(b":\n\n")
                await asyncio.sleep(0.05)  # sleep: the bytes come in pieces
            await asyncio.Event().wait()
        writer.close()

    async with serving(answer) as port, httpx.AsyncClient() as client:
        case = Case(f"http://127.0.0.1:{port}", None, None, 1.0, 0.0, client)
        found = await buffering(case)
    assert found.state == "fault"


@pytest.mark.parametrize(
    "seconds", [2, pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(120)])]
)
async def test_an_idle_time_out_is_named_with_its_seconds(
    nginx: Callable[[str, str], str], seconds: int
) -> None:
    directives = f"{GOOD} proxy_read_timeout {seconds}s;"
    async with hub(heartbeat=15.0) as url:
        behind = await asyncio.to_thread(nginx, url, directives)
        findings = await examined(behind, idle=seconds + 4.0)
    assert set(faults(findings)) == {"idle"}
    assert f"after {seconds}." in findings["idle"].text
    assert "proxy_read_timeout" in findings["idle"].fix


async def test_a_missing_origin_is_named() -> None:
    async with hub(cors_origins=("https://other.example",)) as url:
        findings = await examined(url)
    assert set(faults(findings)) == {"cors"}
    assert f"EDDYLINE_CORS_ORIGINS={ORIGIN}" in findings["cors"].fix


def signed(**claims: Any) -> str:
    usual = {"sub": "a", "scope": "events:subscribe", "exp": time.time() + 3600}
    return jwt.encode(usual | claims, KEY, "HS256")


@pytest.mark.parametrize(
    ("token", "reason", "fix"),
    [
        (signed(aud="other"), "another audience than 'suite' (the token has aud='other'", "--aud"),
        (signed(aud="suite", exp=1), "has expired", "a new one"),
        (signed(), "no 'aud' claim", ""),
        (signed(aud="suite", scope="logs:read"), "scope", "with that scope"),
        (None, "a bearer token is needed", "EDDYLINE_TOKEN"),
        ("x.y.z", "JWT", ""),
    ],
)
async def test_a_token_that_is_refused_is_explained(
    token: str | None, reason: str, fix: str
) -> None:
    async with hub(auth_key=KEY, auth_audience="suite") as url:
        findings = await examined(url, token=token, idle=0.0)
    found = findings["token"]
    if found.state == "ok":  # a list of topics is empty for a token without the scope
        assert reason == "scope"
        return
    assert set(faults(findings)) == {"token"}
    assert reason in found.text
    assert fix in found.fix


@pytest.mark.parametrize("off", [-120, 120])
async def test_a_clock_that_is_two_minutes_off_is_named(off: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = formatdate(time.time() + off, usegmt=True)
        writer.write(
            f"HTTP/1.1 404 No\r\nDate: {date}\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()

    async with serving(answer) as port:
        findings = await examined(f"http://127.0.0.1:{port}", origin=None)
    assert set(faults(findings)) == {"clock"}
    where = "ahead of" if off > 0 else "behind"
    assert f"s {where} this one" in findings["clock"].text
    assert 118 <= int(findings["clock"].text.split("is ")[1].split(" s")[0]) <= 121


async def test_a_drain_is_told() -> None:
    async with running(create_app(EventsSettings())) as started:
        started.app.state.context.drain.draining = True
        findings = await examined(started.url, idle=0.0, origin=None)
    assert "the process is stopping" in findings["ready"].text


def test_the_command_ends_with_one_where_there_is_a_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "http://127.0.0.1:1", "--json"])
    assert ended.value.code == 1
    said = capsys.readouterr()
    [finding] = [json.loads(line) for line in said.out.splitlines()]
    assert (finding["check"], finding["state"]) == ("reached", "fault")
    assert "make run" in finding["fix"]
    assert "a fault" in said.err
