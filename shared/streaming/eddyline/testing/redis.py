"""A real redis-server that may be killed and started again."""

import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

from eddyline.testing.wait import PATIENCE, free_port, wait_until

#: The server under all tests that need one; a valkey-server will do.
REDIS = shlex.split(os.environ.get("TEST_REDIS") or "redis-server")


class RedisServer:
    """A real redis-server of its own on a free port of loopback, which may be killed and started
    again.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port: int = free_port()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers; its data is that of the last run (append-only file)."""
        command = [*REDIS, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "yes", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log)
        process = self._process
        wait_until(lambda: self._answers() or process.poll() is not None)
        if process.poll() is not None:
            log_text = (self._folder / "redis.log").read_text()
            raise RuntimeError(f"redis-server did not start:\n{log_text}")

    def _answers(self) -> bool:
        return self.command("PING") == b"+PONG\r\n"

    def command(self, line: str) -> bytes:
        """The raw answer to an inline command; b"" where nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                sock.settimeout(5)
                sock.sendall(line.encode() + b"\r\n")
                return sock.recv(65536)
        except OSError:
            return b""

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it by a signal; SIGKILL is a crash."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Makes the server hang: connections stay open, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self.stop(signal.SIGKILL)
