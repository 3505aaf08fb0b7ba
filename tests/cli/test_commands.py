"""The commands beside a running suite: data on standard output, all else on standard error."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from eddyline.__main__ import CLIENT, COMMANDS, main
from eddyline.client import Client
from eddyline.testing import wait_until

KEY = "k" * 32


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def suite(launch: Any) -> Iterator[Any]:
    with launch("eddyline_standalone") as served:
        yield served


@pytest.fixture
def eddyline(
    suite: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Said]:
    """Runs a command in this process; an argument `stdin` is its standard input."""
    monkeypatch.setattr("eddyline.cli.target.tell_attempts", lambda: None)
    monkeypatch.setenv("EDDYLINE_URL", suite.url)
    monkeypatch.delenv("EDDYLINE_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run


def test_events_are_published_and_followed(eddyline: Callable[..., Said]) -> None:
    first = eddyline("pub", "cli/1", '{"n": 1}')
    assert first.code == 0, first.err
    assert eddyline("pub", "cli/1", "--text", '{"n": 2}', "--event", "kind").code == 0
    assert eddyline("pub", "cli/1", "-", stdin="three").code == 0
    lines = "".join(json.dumps({"topic": "cli/1", "data": n}) + "\n" for n in (4, 5))
    assert len(eddyline("pub", "--ndjson", stdin=lines).out.split()) == 2

    said = eddyline("sub", "cli/1", "--after", "earliest", "--count", "5", "--json")
    events = [json.loads(line) for line in said.out.splitlines()]
    assert [event["data"] for event in events] == [{"n": 1}, '{"n": 2}', "three", 4, 5]
    assert events[0]["id"] == first.out.strip()
    assert events[1]["event"] == "kind"
    raw = eddyline("sub", "cli/1", "--after", "earliest", "--count", "3", "--raw").out
    assert raw.splitlines() == ['{"n": 1}', '{"n": 2}', "three"]
    plain = eddyline("sub", "cli/1", "--after", first.out.strip(), "--count", "1").out
    assert " cli/1 " in plain
    assert " kind " in plain
    assert "\x1b" not in plain
    assert "cli/1\t" in eddyline("topics").out


def test_a_place_is_kept_in_a_file(eddyline: Callable[..., Said]) -> None:
    for n in range(4):
        eddyline("pub", "cli/place", str(n))
    arguments = ("sub", "cli/place", "--after", "earliest", "--state", "place", "--raw", "--count")
    assert eddyline(*arguments, "3").out.split() == ["0", "1", "2"]
    assert eddyline(*arguments, "1").out.split() == ["3"]
    said = eddyline("sub", "other", "--state", "place")
    assert (said.code, "name another file" in said.err) == (1, True)


def test_a_gap_is_told_and_strict_ends_with_seven(eddyline: Callable[..., Said]) -> None:
    eddyline("pub", "cli/gap", "1")
    said = eddyline("sub", "cli/gap", "--after", "0000.1", "--strict", "--json")
    assert said.code == 7
    assert json.loads(said.out)["reset"]["reason"] == "epoch"
    assert "events are missing: epoch" in said.err


def test_lines_that_are_refused_are_named(eddyline: Callable[..., Said]) -> None:
    lines = '{"topic": "a", "data": 1}\n{"topic": "", "data": 2}\n{"topic": "a", "data": 3}\n'
    said = eddyline("pub", "--ndjson", stdin=lines)
    assert (said.code, len(said.out.split())) == (4, 2)
    assert "event 2: 400" in said.err
    said = eddyline("pub", "--ndjson", stdin="{half\n")
    assert (said.code, "line 1 is no JSON" in said.err) == (4, True)


def test_files_are_listed_and_downloaded(eddyline: Callable[..., Said], tmp_path: Path) -> None:
    [size, _, path] = eddyline("ls", "users.csv").out.strip().split("\t")
    assert path == "users.csv"
    said = eddyline("get", "users.csv", "readme.txt", "-o", "out", "--json")
    assert said.code == 0, said.err
    first, second = (json.loads(line) for line in said.out.splitlines())
    assert first["size"] == int(size) == (tmp_path / "out/users.csv").stat().st_size
    assert second["path"] == "out/readme.txt"
    assert eddyline("get", "readme.txt", "--sha256", "0" * 64).code == 6
    assert not [*tmp_path.glob("readme*")]
    missing = eddyline("get", "no such file")
    assert (missing.code, missing.out) == (4, "")


def test_logs_answers_and_rows(eddyline: Callable[..., Said]) -> None:
    assert eddyline("tail").out == "app.log\n"
    wait_until(lambda: len(eddyline("tail", "app.log", "--no-follow").out.splitlines()) > 1)
    assert len(eddyline("tail", "app.log", "-n", "1", "--no-follow").out.splitlines()) == 1
    [line] = eddyline("tail", "app.log", "-n", "1", "--no-follow", "--json").out.splitlines()
    assert json.loads(line)["source"] == "app.log"
    assert eddyline("tail", "none", "--no-follow").code == 4
    assert "Hello" in eddyline("chat", "Hello").out
    assert "Hello" in eddyline("chat", stdin="Hello").out
    end = json.loads(eddyline("chat", "Hello", "--json").out.splitlines()[-1])
    assert end["finish_reason"] == "stop"
    assert "Hello" in eddyline("chat", "--resume", end["generation_id"]).out
    said = eddyline("records", "users", "--columns", "id", "--limit", "3")
    assert [json.loads(line)["id"] for line in said.out.splitlines()] == [0, 1, 2]
    assert "3 rows" in said.err


def test_the_state_of_the_suite(eddyline: Callable[..., Said], suite: Any) -> None:
    assert eddyline("status").out == f"ready {suite.url}\n"
    assert json.loads(eddyline("status", "--json").out) == {"ready": True, "faults": {}}
    assert eddyline("status", "--url", "http://127.0.0.1:1").code == 5
    assert eddyline("who").code == 0
    assert eddyline("ticket").out.strip()
    assert eddyline("kick", "--subject", "mallory").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("sub", "a", "--url", "hub.example"), 3, "'hub.example' is no address"),
        (("pub",), 2, "expected TOPIC and DATA, or --ndjson alone"),
        (("kick",), 2, "expected one of --subscriber"),
        (("tail", "a", "b", "--state", "x"), 2, "the place in one source"),
        (("tail", "a", "--grep", "("), 2, "--grep '('"),
        (("get", ".."), 2, "names no file"),
        (("config", "check", "evens"), 3, "'evens' is no installed service"),
        (("server",), 2, "no command 'server'"),
        (("token", "show", "abc"), 1, "this is no JWT"),
    ],
)
def test_a_fault_has_its_code_and_names_the_value(
    eddyline: Callable[..., Said], arguments: tuple[str, ...], code: int, reason: str
) -> None:
    said = eddyline(*arguments)
    assert said.code == code, said
    assert reason in said.err
    assert said.out == ""


def test_settings_are_checked_and_shown(
    eddyline: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDDYLINE_AUTH_KEY", KEY)
    monkeypatch.setenv("EVENTS_JOURNAL_AGE", "60")
    assert eddyline("config", "check", "events").out == "events: ok\n"
    shown = eddyline("config", "show", "events").out
    assert "events journal_age=60" in shown
    assert KEY not in shown
    monkeypatch.setenv("EVENTS_JOURNAL_AEG", "60")
    said = eddyline("config", "check", "events")
    assert (said.code, "EVENTS_JOURNAL_AEG: no such setting" in said.err) == (3, True)


def test_a_token_is_minted_and_shown(
    eddyline: Callable[..., Said],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDDYLINE_AUTH_KEY", KEY)
    main(
        [
            "token",
            "mint",
            "--subject",
            "alice",
            "--scope",
            "events:subscribe:orders/*",
            "--expires",
            "2h",
        ]
    )
    token = capsys.readouterr().out.strip()
    said = eddyline("token", "show", token)
    assert "sub\talice" in said.out
    assert "It ends in 2.0 h" in said.err
    assert "reading topics, their history and their names of orders/*" in said.err
    assert json.loads(eddyline("token", "show", "-", "--json", stdin=token).out)["sub"] == "alice"


def test_a_suite_that_wants_a_token_gets_the_one_of_the_environment(
    eddyline: Callable[..., Said], launch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import jwt

    with launch("eddyline_standalone", EDDYLINE_AUTH_KEY=KEY) as guarded:
        refused = eddyline("topics", "--url", guarded.url)
        assert refused.code == 4
        assert "EDDYLINE_TOKEN" in refused.err
        path = tmp_path / "token"
        claims = {"sub": "a", "scope": "*:*", "exp": 9_999_999_999}
        path.write_text(jwt.encode(claims, KEY, "HS256") + "\n")
        monkeypatch.setenv("EDDYLINE_TOKEN_FILE", str(path))
        assert eddyline("topics", "--url", guarded.url).code == 0
        monkeypatch.setenv("EDDYLINE_TOKEN_FILE", str(tmp_path / "none"))
        assert eddyline("topics", "--url", guarded.url).code == 3


def test_ctrl_c_keeps_the_place_and_ends_with_130(suite: Any, tmp_path: Path) -> None:
    environment = os.environ | {"EDDYLINE_URL": suite.url}
    command = [sys.executable, "-m", "eddyline"]
    with Client(suite.url) as client:
        client.publish_many([{"topic": "cli/c", "data": n} for n in range(3)])
    place, out = tmp_path / "place", tmp_path / "out"
    arguments = ["sub", "cli/c", "--raw", "--after", "earliest", "--state", str(place)]
    with out.open("wb") as file:
        process = subprocess.Popen([*command, *arguments], env=environment, stdout=file)
        wait_until(lambda: out.read_text() == "0\n1\n2\n" and place.exists())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    with Client(suite.url) as client:
        client.publish("cli/c", 3)
    more = [*command, *arguments, "--count", "1"]
    done = subprocess.run(more, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "3\n"


def test_a_stream_that_is_away_says_why(tmp_path: Path) -> None:
    environment = os.environ | {"EDDYLINE_URL": "http://127.0.0.1:1"}
    err = tmp_path / "err"
    with err.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "eddyline", "sub", "a"], env=environment, stderr=file
        )
        wait_until(lambda: "next attempt in" in err.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_a_reader_that_has_enough_is_no_fault(suite: Any) -> None:
    script = f"'{sys.executable}' -m eddyline records users --limit 50000 | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        env=os.environ | {"EDDYLINE_URL": suite.url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_nothing_of_a_server_is_imported() -> None:
    code = (
        "import sys, eddyline.cli.app\n"
        "print({'uvicorn', 'fastapi', 'starlette', 'pydantic', 'cryptography', 'redis',"
        " 'eddyline.hub', 'eddyline.service', 'eddyline.server'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_each_command_is_listed_once_and_has_help(eddyline: Callable[..., Said]) -> None:
    from eddyline.cli.app import app

    listed = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    listed |= {str(group.name) for group in app.registered_groups}
    assert {*CLIENT, *COMMANDS} == listed | {*COMMANDS}
    for name in CLIENT:
        if name != "run":
            assert "Usage: eddyline" in eddyline(name, "--help").out


def test_control_characters_do_not_reach_a_terminal() -> None:
    from eddyline.cli.output import printable

    assert printable("a\x1b[31m\tb\x9b2J\r") == "a\ufffd[31m\tb\ufffd2J\ufffd"
