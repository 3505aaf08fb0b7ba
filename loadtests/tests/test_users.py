"""Users show their token, and each knows where its service is."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread

COMMAND = [sys.executable, "-m", "loadtests", "--headless", "-u", "1"]
COMMAND += ["--topics", "1", "--all-topics", "0"]


def test_a_user_asks_its_own_service_with_the_token() -> None:
    seen: Queue[tuple[str, str | None]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.put((self.path, self.headers["Authorization"]))
            self.send_error(503)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with subprocess.Popen(
            [*COMMAND, "EventSubscriber"],
            env=os.environ | {"EVENTS_URL": url, "EDDYLINE_TOKEN": "secret"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as run:
            try:
                assert seen.get(timeout=30) == ("/events?topic=load/0", "Bearer secret")
            finally:
                run.terminate()
                server.shutdown()
