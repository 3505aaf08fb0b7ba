"""The keys of the suite in containers: deploy/keys.py and scripts/make-env."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

ROOT = Path(__file__).parents[1]


def keys(folder: Path, **given: str) -> dict[str, str]:
    command = [sys.executable, str(ROOT / "deploy" / "keys.py"), str(folder)]
    subprocess.run(command, check=True, env={"PATH": os.environ["PATH"], **given})
    return {file.name: file.read_text() for file in folder.iterdir()}


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_keys_are_made_once(tmp_path: Path) -> None:
    first = keys(tmp_path)
    assert set(first) == {"auth-key", "grafana-password", "token"}
    assert len(first["auth-key"]) == len(first["grafana-password"]) == 64
    assert first["auth-key"] != first["grafana-password"]
    again = keys(tmp_path)
    assert again["auth-key"] == first["auth-key"]
    assert again["grafana-password"] == first["grafana-password"]


def test_only_their_owner_reads_them_and_grafana_its_own(tmp_path: Path) -> None:
    keys(tmp_path)
    modes = {file.name: mode(file) for file in tmp_path.iterdir()}
    assert modes == {"auth-key": 0o600, "token": 0o600, "grafana-password": 0o640}


def test_what_is_given_replaces_what_was_made(tmp_path: Path) -> None:
    keys(tmp_path)
    given = "0123456789abcdef" * 4
    found = keys(tmp_path, EDDYLINE_AUTH_KEY=given, GRAFANA_PASSWORD="other")
    assert found["auth-key"] == given
    assert found["grafana-password"] == "other"
    assert mode(tmp_path / "auth-key") == 0o600
    # And stays when it is given no more.
    assert keys(tmp_path)["auth-key"] == given


def test_the_load_test_may_read_and_publish_to_its_own_topics(tmp_path: Path) -> None:
    found = keys(tmp_path)
    claims = jwt.decode(found["token"], found["auth-key"], algorithms=["HS256"])
    scopes = claims["scope"].split()
    assert "events:subscribe" in scopes
    assert [scope for scope in scopes if "publish" in scope] == ["events:publish:load/*"]


def test_a_key_that_is_too_short_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "deploy" / "keys.py"), str(tmp_path)]
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "EDDYLINE_AUTH_KEY": "short"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "has 5 bytes, and HS256 needs 32" in done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "make-env", tmp_path / "scripts")
    return tmp_path


def values(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_env_file_is_made_once_and_for_its_owner(copy: Path) -> None:
    subprocess.run([copy / "scripts" / "make-env"], check=True)
    first = values(copy / ".env")
    assert mode(copy / ".env") == 0o600
    made = [first[n] for n in ("EDDYLINE_AUTH_KEY", "REDIS_PASSWORD", "GRAFANA_PASSWORD")]
    assert all(len(key) == 64 for key in made)
    assert len(set(made)) == 3
    subprocess.run([copy / "scripts" / "make-env"], check=True)
    assert values(copy / ".env") == first


def exchange(number: int) -> str:
    """A block of the document, without the command that starts the services anew."""
    text = (ROOT / "docs" / "operate" / "upgrades.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[number]


def test_keys_are_exchanged_as_the_document_says(copy: Path) -> None:
    subprocess.run([copy / "scripts" / "make-env"], check=True)
    first = values(copy / ".env")
    subprocess.run(["sh", "-euc", exchange(0)], check=True, cwd=copy)
    second = values(copy / ".env")
    assert second["EDDYLINE_AUTH_PREVIOUS_KEY"] == first["EDDYLINE_AUTH_KEY"]
    assert len(second["EDDYLINE_AUTH_KEY"]) == 64 != second["EDDYLINE_AUTH_PREVIOUS_KEY"]
    assert second["REDIS_PASSWORD"] == first["REDIS_PASSWORD"]
    subprocess.run(["sh", "-euc", exchange(0)], check=True, cwd=copy)
    third = values(copy / ".env")
    assert third["EDDYLINE_AUTH_PREVIOUS_KEY"] == second["EDDYLINE_AUTH_KEY"]


KUBECTL = """#!/bin/sh
case "$*" in
*"get secret"*) printf b2xkLWtleQ== ;;
*) printf "%s\\n" "$@" >>said ;;
esac
"""


def test_keys_of_a_cluster_are_exchanged_as_the_document_says(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-euc", exchange(1)], check=True, cwd=tmp_path, env=path)
    said = (tmp_path / "said").read_text().splitlines()
    patches = [json.loads(line) for line in said if line.startswith("{")]
    assert len(patches) == 2
    assert patches[0] == patches[1]
    assert patches[0]["data"] == {"previous-auth-key": "b2xkLWtleQ=="}
    assert len(patches[0]["stringData"]["auth-key"]) == 64
    assert [said[said.index("-n") + 1], said.count("rollout")] == ["eddyline", 2]
