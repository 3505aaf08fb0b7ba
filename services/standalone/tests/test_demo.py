"""The demo data is made once, and a folder that is half there is completed."""

import os
from pathlib import Path

import pytest

from eddyline.service.registry import registrations
from eddyline_downloads.settings import DownloadsSettings
from eddyline_logs.settings import LogsSettings
from eddyline_records.settings import RecordsSettings
from eddyline_standalone import demo

SERVICES = registrations().values()


def test_a_half_made_folder_is_completed(tmp_path: Path) -> None:
    said: list[str] = []
    demo.make(tmp_path, said.append, SERVICES)
    assert len(said) == 1
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "files").iterdir()}
    huge = tmp_path / "files" / "huge.bin"
    assert huge.stat().st_size >= 1024**3
    assert huge.stat().st_blocks == 0, "it is sparse"
    (tmp_path / "users.db").unlink()
    huge.unlink()

    demo.make(tmp_path, said.append, SERVICES)
    assert len(said) == 2
    for path, modified in made.items():
        assert path == huge or path.stat().st_mtime_ns == modified

    demo.make(tmp_path, said.append, SERVICES)
    assert len(said) == 2, "a second start makes nothing"


def test_the_services_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a folder, with=odd%20 characters"
    for name, value in demo.environment(folder, SERVICES).items():
        monkeypatch.setenv(name, value)
    assert DownloadsSettings.read().folder == folder / "files"
    assert RecordsSettings.read().by_name["users"].path == folder / "users.db"


def test_the_log_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in demo.environment(tmp_path, SERVICES).items():
        monkeypatch.setenv(name, value)
    settings = LogsSettings.read()
    assert settings.sources == f"app.log={settings.demo}"


def test_what_is_set_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_DEMO", "0")
    monkeypatch.setenv("LOGS_SOURCES", "")
    demo.set_defaults({"EVENTS_DEMO": "1", "LOGS_SOURCES": "app.log=/x"})
    assert os.environ["EVENTS_DEMO"] == "0"
    assert os.environ["LOGS_SOURCES"] == "app.log=/x"
