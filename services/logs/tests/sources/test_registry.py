"""Names to files, and names that are never one."""

from contextlib import closing
from pathlib import Path

import pytest

from eddyline.errors import NotFound, SettingsError
from eddyline_logs.settings import LogsSettings
from eddyline_logs.sources.registry import Sources


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    (folder / "web").mkdir(parents=True)
    for name in ("app.log", "web/access.log", "web/error.txt"):
        (folder / name).write_text("x\n")
    (tmp_path / "secret.log").write_text("secret\n")
    return folder


def names(text: str) -> list[str]:
    return [source.id for source in Sources.parse(text).list()]


def read(text: str, id: str) -> bytes:
    source = Sources.parse(text).find(id)
    assert source.exists()
    with closing(source.open()) as file:
        return file.pread(100, 0)


def test_a_bare_directory(logs: Path) -> None:
    assert names(str(logs)) == ["app.log", "web/access.log", "web/error.txt"]
    assert read(str(logs), "web/access.log") == b"x\n"


def test_a_named_directory_a_named_file_and_a_glob(logs: Path) -> None:
    text = f"all={logs}, one={logs}/app.log, some={logs}/*/*.log"
    assert names(text) == [
        "all/app.log",
        "all/web/access.log",
        "all/web/error.txt",
        "one",
        "some/web/access.log",
    ]
    for id in names(text):
        assert read(text, id) == b"x\n"


@pytest.mark.parametrize(
    "id",
    ["some/web/error.txt", "some/app.log", "some", "one/x", "other/app.log", "all", "all/"],
)
def test_what_no_item_has(logs: Path, id: str) -> None:
    sources = Sources.parse(f"all={logs}, one={logs}/app.log, some={logs}/*/*.log")
    with pytest.raises(NotFound, match="there is no source"):
        sources.find(id).exists()


@pytest.mark.parametrize(
    "id",
    [
        "",
        ".",
        "..",
        "../secret.log",
        "web/../../secret.log",
        "/etc/passwd",
        "web//access.log",
        "app.log/",
        "app.log\0",
        "\0",
        "web",
        "app.log/x/y",
        "x" * 300,
        "x/" * 5000 + "x",
    ],
)
def test_what_is_never_a_source_leaks_no_path(logs: Path, id: str) -> None:
    with pytest.raises(NotFound) as raised:
        Sources.parse(str(logs)).find(id).exists()
    assert str(logs) not in raised.value.detail


def test_of_two_directories_the_one_that_has_the_file(logs: Path) -> None:
    assert read(f"{logs.parent}/nowhere,{logs}", "app.log") == b"x\n"


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        (" , ", "at least one"),
        ("a b=/x", "'a b' is not a name"),
        ("=/x", "'' is not a name"),
        ("a=", "'a=' names no path"),
        ("/var/log/*.log", "a glob is given as"),
        ("a=/var/**/x.log", "without"),
        ("a=cri:", "'a=cri:' names no path"),
        ("a=cri:/var/log/*", "one directory, without a glob"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, text: str, saying: str) -> None:
    monkeypatch.setenv("LOGS_SOURCES", text)
    with pytest.raises(SettingsError, match=f"LOGS_SOURCES=.*{saying}"):
        LogsSettings.read()
