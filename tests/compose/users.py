"""The users of the suite in these tests: curl, and a herd of subscribers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from rendered import ROOT
from stack import Stack, until

from eddyline.service.registry import registrations

SUBSCRIBERS = 1000

#: Requests that are answered at once, of services that a GET of their `path` does not try.
REQUESTS = {
    "events": ["/events/topics"],
    "chat": ["/chat?prompt=Hi", "-X", "POST"],
    "records": ["/records"],
    "streams": ["/v1/stream/test", "-X", "PUT"],
}


def mint(stack: Stack) -> str:
    return stack.inside(
        "events", "eddyline", "token", "--key-file", "/run/eddyline/auth-key",
        "--subject", "test", "--scope", "*:*",
    ).strip()  # fmt: skip


class Client:
    """curl, with the gateway's own authority and a token."""

    def __init__(self, stack: Stack, token: str) -> None:
        self.url = f"https://localhost:{stack.variables['HTTPS_PORT']}"
        self.authority = stack.folder / "ca.crt"
        root = "/data/caddy/pki/authorities/local/root.crt"
        self.authority.write_text(stack.inside("gateway", "cat", root))
        self.token = token
        self.environment = os.environ | {
            "EDDYLINE_TOKEN": token,
            "SSL_CERT_FILE": str(self.authority),
        }

    def command(self, path: str, *arguments: str) -> list[str]:
        common = ["curl", "-sS", "--http2", "--cacert", str(self.authority)]
        return [*common, "--oauth2-bearer", self.token, *arguments, self.url + path]

    def curl(self, path: str, *arguments: str, left: bool = False) -> str:
        """The bytes that came; where `left`, its own --max-time may end a stream (exit code 28)."""
        command = self.command(path, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode in ((0, 28) if left else (0,)), done.stderr
        return done.stdout

    def statuses(self) -> dict[str, str]:
        """The status of a request to each service; any success is `2xx`."""
        only = ("-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5")
        requests = {
            each.name: REQUESTS.get(each.name, [each.path]) for each in registrations().values()
        }
        codes = {name: self.curl(*request, *only, left=True) for name, request in requests.items()}
        return {name: "2xx" if code.startswith("2") else code for name, code in codes.items()}


class Herd:
    """tests/herd.py as a process: numbered events, and subscribers that resume."""

    def __init__(self, client: Client) -> None:
        command = [sys.executable, str(ROOT / "tests" / "herd.py"), client.url]
        self.process = subprocess.Popen(
            [*command, "--subscribers", str(SUBSCRIBERS), "--rate", "10"],
            env=client.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.now: dict[str, Any] = {"connected": 0, "published": 0}
        self._reading = Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.now = json.loads(line)

    def flows(self) -> dict[str, Any]:
        """Waits until all are there, and ten more events were accepted."""
        enough = self.now["published"] + 10

        def flowing() -> bool:
            assert self.process.poll() is None, self.now
            return self.now["connected"] == SUBSCRIBERS and self.now["published"] >= enough

        until(flowing)
        return self.now

    def verdict(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        self._reading.join()
        return self.now


@contextmanager
def herding(client: Client) -> Iterator[Herd]:
    herd = Herd(client)
    with herd.process:
        try:
            yield herd
        finally:
            herd.process.kill()
