"""A file and its name: the file may change under it, and some are never read."""

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eddyline.errors import NotFound
from eddyline_logs.sources.registry import Sources


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    (folder / "web").mkdir(parents=True)
    for name in ("app.log", "web/access.log"):
        (folder / name).write_text("x\n")
    (tmp_path / "secret.log").write_text("secret\n")
    return folder


def read(folder: Path, id: str) -> bytes:
    source = Sources.parse(str(folder)).find(id)
    assert source.exists()
    with closing(source.open()) as file:
        return file.pread(100, 0)


def test_a_symlink_may_lead_around_but_not_out(logs: Path) -> None:
    (logs / "current.log").symlink_to("web/access.log")
    (logs / "out.log").symlink_to(logs.parent / "secret.log")
    (logs / "folder").symlink_to(logs.parent)
    (logs / "loop.log").symlink_to("loop.log")
    (logs / "dangling.log").symlink_to("not-there")
    assert read(logs, "current.log") == b"x\n"
    for id in ("out.log", "folder/secret.log", "loop.log", "dangling.log"):
        with pytest.raises(NotFound):
            Sources.parse(str(logs)).find(id).exists()
    listed = [source.id for source in Sources.parse(str(logs)).list()]
    assert "current.log" in listed
    assert "out.log" not in listed


def test_a_directory_beside_with_the_same_start_is_outside(logs: Path) -> None:
    beside = logs.with_name("logs-private")
    beside.mkdir()
    (beside / "x.log").write_text("secret\n")
    (logs / "x.log").symlink_to(beside / "x.log")
    with pytest.raises(NotFound):
        Sources.parse(str(logs)).find("x.log").exists()


def test_pipes_and_sockets_are_no_sources(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(logs / "pipe")
    monkeypatch.chdir(logs)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for id in ("pipe", "socket"):
            with pytest.raises(NotFound):
                Sources.parse(str(logs)).find(id).exists()


def test_a_file_may_come_later(logs: Path) -> None:
    source = Sources.parse(str(logs)).find("new/later.log")
    assert not source.exists()
    (logs / "new").mkdir()
    (logs / "new/later.log").write_text("x\n")
    assert source.exists()


def test_no_file_stays_open(logs: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for id in ("app.log", "web", "missing"):
        source = Sources.parse(str(logs)).find(id)
        for _ in range(3):
            try:
                source.exists()
            except NotFound:
                assert id == "web"
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_renamed_while_files_are_opened_is_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("app.log", "app.log.1", "app.log.2"):
        (tmp_path / name).write_text(name)
    source = Sources.parse(str(tmp_path)).find("app.log")
    opened = os.open

    def rotate_first(name: Any, *args: Any, **kwargs: Any) -> int:
        if name == tmp_path / "app.log.1":
            monkeypatch.setattr(os, "open", opened)
            for number in (2, 1):
                old = tmp_path / f"app.log.{number}"
                old.rename(tmp_path / f"app.log.{number + 1}")
        return opened(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", rotate_first)
    read = []
    for file in source.chain(1000).files():
        with closing(file):
            read.append(file.pread(100, 0))
    assert read == [b"app.log", b"app.log.1", b"app.log.2"]
