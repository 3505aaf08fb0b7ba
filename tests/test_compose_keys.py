"""The keys of the suite in containers: deploy/keys.py and scripts/make-env."""

import os
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
