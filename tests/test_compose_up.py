"""`make up` where something is in its way: it says how to go on. Docker is a script here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DOCKER = """#!/bin/sh
case "$*" in
*"compose up"*) echo "$UP_SAYS"; exit 1 ;;
*"compose version"*) exit ${COMPOSE_FAILS:-0} ;;
version*) echo "$DAEMON_SAYS"; [ -z "$DAEMON_SAYS" ] ;;
info*) echo 8 ;;
*"compose build"*) exit ${BUILD_FAILS:-0} ;;
esac
"""


def up(tmp_path: Path, *, docker: bool = True, **says: str) -> str:
    """Its words on standard error, failing."""
    (tmp_path / "scripts").mkdir()
    for name in ("up", "make-env", "need-docker"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "od", "tr", "cat", "mv", "mktemp", "rm", "tee", "grep"):
        (programs / name).symlink_to(str(shutil.which(name)))
    if docker:
        (programs / "docker").write_text(DOCKER)
        (programs / "docker").chmod(0o755)
    done = subprocess.run(
        [tmp_path / "scripts" / "up"],
        env={"PATH": str(programs), **says},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "export TOKEN" not in done.stdout
    return done.stderr


def test_without_docker(tmp_path: Path) -> None:
    assert "docker is missing: https://docs.docker.com/" in up(tmp_path, docker=False)


def test_without_compose(tmp_path: Path) -> None:
    assert "install the package docker-compose-plugin" in up(tmp_path, COMPOSE_FAILS="1")


def test_without_a_daemon(tmp_path: Path) -> None:
    said = up(tmp_path, DAEMON_SAYS="Cannot connect to the Docker daemon at unix:///x")
    assert "the Docker daemon does not answer: start it, or join the group docker" in said
    assert "Cannot connect to the Docker daemon at unix:///x" in said
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(
    ("docker", "hint"),
    [
        ("Bind for 127.0.0.1:8443 failed: port is already allocated", "HTTPS_PORT"),
        ("listen tcp4 127.0.0.1:3000: bind: address already in use", "GRAFANA_PORT"),
        ("error setting rlimit type 7: operation not permitted", "NOFILE"),
        ("range of CPUs is from 0.01 to 1.00, as there are only 1", "EVENTS_CPUS=1"),
        ("container eddyline-events-1 is unhealthy", "make logs"),
    ],
)
def test_what_docker_says_is_explained(tmp_path: Path, docker: str, hint: str) -> None:
    assert hint in up(tmp_path, UP_SAYS=docker)


def test_a_build_that_fails_ends_it(tmp_path: Path) -> None:
    assert "could not be built" in up(tmp_path, BUILD_FAILS="1")


def test_make_passes_on_what_it_was_told_and_no_default(tmp_path: Path) -> None:
    """For Compose, the environment is above .env."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "up"
    script.write_text('#!/bin/sh\necho "[$TAG][$BASE_IMAGE]"\n')
    script.chmod(0o755)

    def make(*arguments: str, **variables: str) -> str:
        command = ["make", "--no-print-directory", "-C", str(tmp_path), "up", *arguments]
        environment = {"PATH": os.environ["PATH"], **variables}
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True).stdout

    assert make() == "[][]\n"
    assert (
        make("TAG=mine", BASE_IMAGE="mirror/python:3.13-slim")
        == "[mine][mirror/python:3.13-slim]\n"
    )
