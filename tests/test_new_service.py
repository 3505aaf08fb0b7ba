"""`make new-service` makes a service that runs, is linted, tested, routed and deployed as it is."""

import os
import runpy
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from copied import copy_tree
from rendered import ROOT

from eddyline.testing import free_port, wait_until

pytestmark = pytest.mark.slow

SCRIPT = str(ROOT / "scripts" / "new_service.py")

#: Seconds for an environment of its own, and for the linters.
PATIENCE = 600


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    found: Callable[[str], str] = runpy.run_path(SCRIPT)["refusal"]
    return found


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "'' is no name of a service"),
        ("Polls", "'Polls' is no name of a service: expected up to 16 lower-case letters"),
        ("my-polls", "'my-polls' is no name of a service"),
        ("2polls", "'2polls' is no name of a service"),
        ("polls" * 4, "is no name of a service"),
        ("class", "'class' is a keyword of Python"),
        ("events", "there is a service 'events' already: services/events"),
        ("standalone", "there is a service 'standalone' already"),
        ("redis", "'redis' is reserved"),
        ("sample", "'sample' is reserved"),
        ("metrics", "'metrics' is reserved"),
        ("python", "'python' is taken: variables of PYTHON_* are other programs' settings"),
        ("static", "'static' is taken: the service downloads has the path /static"),
        ("users", "'users' is taken: the service records has the path /users/stream"),
        ("polls", ""),
    ],
)
def test_a_bad_name_is_refused_by_name(
    name: str, reason: str, refusal: Callable[[str], str]
) -> None:
    said = refusal(name)
    assert reason in said
    assert bool(said) is bool(reason)


def test_a_refusal_makes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "events"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "there is a service 'events' already" in done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the repository in which the service `polls` was made."""
    folder = tmp_path_factory.mktemp("copy")
    copy_tree(folder)
    run(folder, "git", "init", "--quiet")
    run(folder, "make", "new-service", "NAME=polls")
    run(folder, "git", "add", "--all")
    yield folder
    shutil.rmtree(folder)


def run(folder: Path, *command: str) -> str:
    """Its output; says it where it fails. Tools of this repository are on the path."""
    tools = f"{os.environ['PATH']}:{ROOT / '.tools' / 'bin'}"
    own = {
        k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_", "PYTEST_"))
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=own | {"PATH": tools},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


@pytest.mark.timeout(PATIENCE)
@pytest.mark.xdist_group("new_service")
def test_the_linters_find_nothing(copy: Path) -> None:
    run(copy, "make", "lint")


@pytest.mark.timeout(PATIENCE)
@pytest.mark.xdist_group("new_service")
def test_its_tests_pass_and_those_of_what_it_is_part_of(copy: Path) -> None:
    names = ("manifests", "compose_file", "dashboards", "operations", "generated", "makefile")
    paths = [f"tests/test_{name}.py" for name in (*names, "image", "version", "manifest_schemas")]
    said = run(copy, ".venv/bin/python", "-m", "pytest", "-q", "services/polls", *paths)
    assert " passed" in said
    # Each of them asks for every service: this one, too.
    listed = run(copy, ".venv/bin/python", "-m", "pytest", "-q", "--collect-only", *paths)
    assert "test_every_route_of_a_service_leads_there[k8s/tests/gateway-api-polls]" in listed
    assert "test_the_gateway_routes_each_path_to_its_service[polls]" in listed


@pytest.mark.timeout(PATIENCE)
@pytest.mark.xdist_group("new_service")
def test_it_streams(copy: Path) -> None:
    port = free_port()
    python = str(copy / ".venv" / "bin" / "python")
    command = [python, "-m", "eddyline_standalone.serve", "polls", "--port", str(port)]
    with subprocess.Popen(command, cwd=copy, stderr=subprocess.DEVNULL) as server:
        try:
            assert first_lines(port, 3) == [b'{"number":1}\n', b'{"number":2}\n', b'{"number":3}\n']
        finally:
            server.terminate()


def first_lines(port: int, count: int) -> list[bytes]:
    def lines() -> list[bytes] | None:
        with suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/polls", timeout=10) as stream:
                return [stream.readline() for _ in range(count)]
        return None

    found: list[bytes] = wait_until(lines, 60)
    return found
