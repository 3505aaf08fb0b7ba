import os
import subprocess
import sys
from pathlib import Path

import pytest

from eddyline.errors import SettingsError
from eddyline.server import cli

OURS = ("counter_12.db", "histogram_7-0.db", "gauge_livesum_7-1.db", "gauge_mostrecent_12.db")
OTHERS = ("counter.db", "counter_12.db.bak", "notes_12.db", "orders.db", "gauge_12.txt")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command that would have replaced this process."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: commands.append(command))
    for name in ("PROMETHEUS_MULTIPROC_DIR", "EDDYLINE_WORKERS", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "")  # so that set variables are unset in the end
    return commands


def test_gunicorn_counts_in_a_folder_of_its_own(commands: list[list[str]]) -> None:
    cli.run_gunicorn("demo:app", 2)
    assert commands == [
        [sys.executable, "-m", "gunicorn", "-c", cli.GUNICORN_CONFIG, "-w", "2", "demo:app"]
    ]
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    assert list(folder.iterdir()) == []
    folder.rmdir()


def test_only_our_files_are_removed_from_the_users_folder(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*OURS, *OTHERS):
        (tmp_path / name).write_bytes(b"kept")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "counter_12.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    cli.run_gunicorn("demo:app", 2)
    assert len(commands) == 1
    assert {file.name for file in tmp_path.iterdir()} == {*OTHERS, "reports"}
    assert (tmp_path / "reports" / "counter_12.db").exists()


def test_a_folder_that_is_missing_is_made(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "a" / "b"))
    cli.run_gunicorn("demo:app", 2)
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    "place", ["/proc/self/fdinfo", "/proc/metrics", "{file}", "{file}/metrics"]
)
def test_a_folder_that_cannot_be_written_is_refused_by_name(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    folder = place.format(file=tmp_path / "file")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", folder)
    with pytest.raises(SettingsError, match="expected a folder that can be written") as caught:
        cli.run_gunicorn("demo:app", 2)
    assert caught.value.detail.startswith(f"PROMETHEUS_MULTIPROC_DIR={folder!r}: ")
    assert commands == []
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_bad_folder_ends_the_process_with_one_line_and_code_3(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "eddyline", "serve", "demo:app", "--workers", "2"],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("eddyline: PROMETHEUS_MULTIPROC_DIR=")
