"""Starting and stopping the measured programs."""

import os
import sys
from pathlib import Path

import pytest

from bench import rivals
from bench.servers import EventServer, Server, described, serve
from bench.tools import BenchError

LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        listener.accept()
"""
CHILD = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {LISTEN!r}, sys.argv[1]])"


def python(code: str) -> Server:
    return Server("python", lambda port, _: [sys.executable, "-c", code, str(port)], lambda: "3")


def test_all_its_processes_and_its_folder_are_gone_afterwards() -> None:
    with serve(python(CHILD)) as running:
        pids = running.pids()
        folder = Path(os.readlink(f"/proc/{running.process.pid}/cwd"))
        assert len(pids) == 2
        assert running.memory() > 0
    assert not folder.exists()
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or ") Z " in stat.read_text()


def test_it_is_stopped_when_the_measurement_is_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt), serve(python(LISTEN)) as running:
        raise KeyboardInterrupt
    assert running.process.poll() is not None


def test_a_server_that_ends_at_once_is_quoted() -> None:
    with pytest.raises(BenchError, match="did not start: no such thing"):
        with serve(python("import sys; sys.exit('no such thing')")):
            pass


def test_the_described_command_names_no_folder_of_the_moment() -> None:
    server = Server("x", lambda port, folder: ["/opt/x", f"{folder}/c", str(port)], lambda: "1")
    assert described(server) == "x FOLDER/c 0"


def test_a_rival_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("MERCURE", raising=False)
    assert rivals.MERCURE.missing() == "no mercure on the path, MERCURE is not set"
    monkeypatch.setenv("MERCURE", "/nonexistent/mercure")
    assert rivals.MERCURE.missing() == "MERCURE=/nonexistent/mercure cannot be run"
    monkeypatch.setenv("MERCURE", sys.executable)
    assert rivals.MERCURE.missing() is None


@pytest.mark.parametrize("server", rivals.event_servers(Path("/tmp")), ids=lambda s: s.name)
def test_every_publish_request_carries_the_marker_and_its_length(
    server: EventServer,
) -> None:
    text = server.publish("~bench." + "1" * 19 + "." + "2" * 8 + "~")
    head, _, body = text.partition("\r\n\r\n")
    assert f"~bench.{'1' * 19}.{'2' * 8}~" in body
    assert f"Content-Length: {len(body)}" in head
    assert server.subscribe.endswith("\r\n\r\n")
