"""The lesson's URLs, as the lesson prints them: by curl, in the suite and in each service alone."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("lesson")

Curl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def url_of(launch) -> Iterator[Callable[[str], str]]:  # type: ignore[no-untyped-def]
    """The URL of the suite or of a service, which is started when it is first asked for."""
    with ExitStack() as stack:
        urls: dict[str, str] = {}

        def find(name: str) -> str:
            if name not in urls:
                arguments = (
                    ["eddyline_standalone"]
                    if name == "suite"
                    else ["eddyline_standalone.serve", name]
                )
                urls[name] = stack.enter_context(launch(*arguments)).url
            return urls[name]

        yield find


@pytest.fixture(params=["suite", "alone"])
def base(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> str:
    # A test's second word is its service: test_events_come_each_second.
    service = request.function.__name__.split("_")[1]
    return url_of("suite" if request.param == "suite" else service)


@pytest.fixture
def curl(tool: Callable[..., str], tmp_path: Path) -> Curl:
    def run(*arguments: str, ends: bool = True) -> "subprocess.CompletedProcess[str]":
        command = [tool("curl"), "-sS", "-i", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        # 28: its own --max-time, which is how one leaves an endless stream.
        assert done.returncode == (0 if ends else 28), done.stderr
        return done

    return run


def head_and_body(answer: "subprocess.CompletedProcess[str]") -> tuple[str, str]:
    head, _, body = answer.stdout.partition("\n\n")
    return head.lower(), body


def events_of(body: str) -> list[dict[str, object]]:
    return [json.loads(text) for text in re.findall(r"^data: (.*)$", body, re.MULTILINE)]


def arrivals(command: list[str]) -> list[float]:
    """The seconds at which a command's pieces of output came."""
    began = time.monotonic()
    times = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        while process.stdout.read(65536):
            times.append(time.monotonic() - began)
    assert process.returncode == 0
    return times


def test_downloads_a_file(base: str, curl: Curl, tmp_path: Path, data: Path) -> None:
    curl("--no-include", "-O", "-D", "head", f"{base}/download/users.csv")
    saved = (tmp_path / "users.csv").read_bytes()
    assert saved == (data / "files" / "users.csv").read_bytes()
    assert "content-disposition: attachment" in (tmp_path / "head").read_text().lower()


def test_downloads_serves_the_three_kinds_side_by_side(base: str, curl: Curl) -> None:
    head, body = head_and_body(curl(f"{base}/small"))
    assert "application/json" in head
    assert json.loads(body) == {"data": [1, 2, 3]}
    head, _ = head_and_body(curl("-I", f"{base}/static"))
    assert "content-type: application/pdf" in head
    assert "content-length" in head
    head, _ = head_and_body(curl("-I", f"{base}/static/file.pdf"))
    assert "content-disposition: inline" in head
    head, body = head_and_body(curl(f"{base}/stream"))
    assert "transfer-encoding: chunked" in head
    assert "content-length" not in head
    assert len(body) > 1_000_000


def test_chat_answers_word_by_word(base: str, curl: Curl, tool: Callable[..., str]) -> None:
    command = ["-X", "POST", f"{base}/chat?prompt=Hello", "--no-buffer"]
    head, body = head_and_body(curl(*command))
    assert "content-type: text/plain" in head
    assert body.split() == [
        "Here",
        "is",
        "my",
        "response",
        "to",
        "'Hello':",
        "This",
        "is",
        "a",
        "streaming",
        "response",
        "that",
        "appears",
        "word",
        "by",
        "word.",
    ]
    times = arrivals([tool("curl"), "-sS", *command])
    assert len(times) > 5
    assert times[-1] - times[0] > 1.0


def test_chat_streams_tokens(base: str, curl: Curl, tool: Callable[..., str]) -> None:
    command = ["-X", "POST", f"{base}/chat/stream", "-H", "Content-Type: application/json"]
    command += ["-d", '{"message": "Hello"}', "--no-buffer"]
    head, body = head_and_body(curl(*command))
    assert "content-type: text/event-stream" in head
    *tokens, last = events_of(body)
    text = "".join(str(event["token"]) for event in tokens)
    assert text == "You said: Hello. Here's my thoughtful response about that topic."
    assert last == {"done": True}
    times = arrivals([tool("curl"), "-sS", *command])
    assert len(times) > 5
    assert times[-1] - times[0] > 0.5


def test_chat_answers_at_once(base: str, curl: Curl) -> None:
    began = time.monotonic()
    command = ["-X", "POST", f"{base}/chat/sync", "-H", "Content-Type: application/json"]
    _, body = head_and_body(curl(*command, "-d", '{"message": "Hello"}'))
    assert json.loads(body) == {"response": "You said: Hello. Here's my response."}
    assert time.monotonic() - began >= 2


def test_events_come_each_second(base: str, curl: Curl) -> None:
    head, body = head_and_body(curl("-N", "--max-time", "4", f"{base}/events", ends=False))
    assert "content-type: text/event-stream" in head
    events = events_of(body)
    assert 2 <= len(events) <= 5
    first = int(str(events[0]["count"]))
    for count, event in enumerate(events, first):
        assert event == {"count": count, "message": f"Event {count}"}


def test_records_streams_a_million_users(base: str, curl: Curl) -> None:
    head, body = head_and_body(curl(f"{base}/users/stream"))
    assert "content-type: application/x-ndjson" in head
    lines = body.splitlines()
    assert len(lines) == 1_000_000
    assert json.loads(lines[0]) == {"id": 0, "name": "User 0"}
    assert json.loads(lines[-1]) == {"id": 999_999, "name": "User 999999"}


def test_logs_are_followed(base: str, curl: Curl) -> None:
    command = ["-N", "--max-time", "5", f"{base}/logs/app.log?lines=0"]
    head, body = head_and_body(curl(*command, ends=False))
    assert "content-type: text/event-stream" in head
    lines = [event["line"] for event in events_of(body) if "line" in event]
    # Nothing of the lines before: these were written while it was read.
    assert len(lines) >= 2
