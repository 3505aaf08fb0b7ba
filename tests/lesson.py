"""The lesson's URLs against a suite that runs elsewhere: `lesson.py http://events http://chat …`.

As a program, for a container or a pod; only the standard library. Each argument is a URL that
serves all, or NAME=URL of one service. EDDYLINE_TOKEN is the bearer token. Exit code 1 and a line
for each URL that breaks a claim of the lesson.
"""

import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

#: Seconds that a check may take: a stream that only beats its heart would never end.
PATIENCE = 60

#: Seconds between the pieces of a stream, at least, for them to count as pieces.
APART = 0.05


class Suite:
    def __init__(self, arguments: list[str]) -> None:
        pairs = (argument.rpartition("=") for argument in arguments)
        self._urls = {name: url for name, _, url in pairs}

    def ask(self, service: str, method: str, path: str, body: object = None) -> HTTPResponse:
        url = urlsplit(self._urls.get(service) or self._urls[""])
        connection: HTTPConnection
        if url.scheme == "https":
            trust = ssl.create_default_context()
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
            connection = HTTPSConnection(url.hostname or "", url.port, timeout=30, context=trust)
        else:
            connection = HTTPConnection(url.hostname or "", url.port, timeout=30)
        headers = {"Authorization": f"Bearer {os.environ.get('EDDYLINE_TOKEN', '')}"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        assert answer.status == 200, f"{answer.status} {answer.read(300)!r}"
        return answer


def pieces(answer: HTTPResponse) -> Iterator[tuple[float, bytes]]:
    """The bytes that come, and when."""
    while data := answer.read1(65536):
        yield time.monotonic(), data


def events(answer: HTTPResponse, count: int) -> list[tuple[float, dict[str, object]]]:
    """The next `count` events that are values, each with the moment at which it came."""
    found: list[tuple[float, dict[str, object]]] = []
    name = ""
    while len(found) < count and (line := answer.readline().decode()):
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:") and not name:
            found.append((time.monotonic(), json.loads(line[5:])))
        elif line == "\n":
            name = ""
    return found


def streamed(moments: list[float]) -> None:
    assert moments[-1] - moments[0] > APART, "it came all at once"


def download(suite: Suite) -> None:
    answer = suite.ask("downloads", "GET", "/download/users.csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.read().startswith(b"id,name\n0,User 0\n")


def static_path(suite: Suite) -> None:
    answer = suite.ask("downloads", "GET", "/static/readme.txt")
    assert "attachment" not in (answer.headers["Content-Disposition"] or "")
    assert b"ever loses its place" in answer.read()


def static(suite: Suite) -> None:
    assert suite.ask("downloads", "GET", "/static").read().startswith(b"%PDF-")


def small(suite: Suite) -> None:
    assert json.load(suite.ask("downloads", "GET", "/small")) == {"data": [1, 2, 3]}


def stream(suite: Suite) -> None:
    answer = suite.ask("downloads", "GET", "/stream")
    assert answer.headers["Content-Length"] is None
    assert len(answer.read()) > 0


def chat(suite: Suite) -> None:
    answer = suite.ask("chat", "POST", "/chat?prompt=Hello")
    assert answer.headers["Content-Type"].startswith("text/plain")
    parts = list(pieces(answer))
    streamed([moment for moment, _ in parts])
    assert b"Hello" in b"".join(data for _, data in parts)


def chat_stream(suite: Suite) -> None:
    answer = suite.ask("chat", "POST", "/chat/stream", {"message": "Hello"})
    got = events(answer, 10_000)
    streamed([moment for moment, _ in got])
    assert got[-1][1] == {"done": True}
    assert "Hello" in "".join(str(value["token"]) for _, value in got[:-1])


def chat_sync(suite: Suite) -> None:
    answer = suite.ask("chat", "POST", "/chat/sync", {"message": "Hello"})
    assert "Hello" in json.load(answer)["response"]


def events_second_by_second(suite: Suite) -> None:
    answer = suite.ask("events", "GET", "/events")
    got = events(answer, 3)
    counts = [value["count"] for _, value in got if "count" in value]
    assert len(counts) == 3, got
    assert got[2][0] - got[0][0] > 1, "they did not come one by one"


def users(suite: Suite) -> None:
    answer = suite.ask("records", "GET", "/users/stream")
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    count, last = 0, b""
    for line in answer:
        count, last = count + 1, line
    assert count == 1_000_000, count
    assert json.loads(last)["id"] == 999_999


def logs(suite: Suite) -> None:
    got = events(suite.ask("logs", "GET", "/logs/app.log"), 12)
    streamed([moment for moment, _ in got])
    assert all("line" in value for _, value in got)


CHECKS: dict[str, Callable[[Suite], None]] = {
    "GET /download/{path}": download,
    "GET /static/{path}": static_path,
    "GET /static": static,
    "GET /small": small,
    "GET /stream": stream,
    "POST /chat": chat,
    "POST /chat/stream": chat_stream,
    "POST /chat/sync": chat_sync,
    "GET /events": events_second_by_second,
    "GET /users/stream": users,
    "GET /logs/{path}": logs,
}


def give_up(*_: object) -> None:
    raise TimeoutError(f"not within {PATIENCE} s")


def main(arguments: list[str]) -> int:
    suite = Suite(arguments)
    signal.signal(signal.SIGALRM, give_up)
    failed = 0
    for name, check in CHECKS.items():
        signal.alarm(PATIENCE)
        try:
            check(suite)
        except (AssertionError, OSError, ValueError, KeyError, IndexError) as error:
            failed += 1
            print(f"{name}: {error!r}")
    print(f"{len(CHECKS) - failed} of the lesson's {len(CHECKS)} URLs work")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
