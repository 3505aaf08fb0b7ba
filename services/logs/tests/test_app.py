"""The app as a server loads it."""

import importlib

import pytest
from fastapi import FastAPI

from eddyline_logs import app


def test_the_module_is_imported_without_reading_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGS_SOURCES", "=")
    importlib.reload(app)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = app.no_such_thing


def test_the_app_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGS_SOURCES", raising=False)
    assert isinstance(app.app, FastAPI)


def test_a_bad_setting_exits_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOGS_TAILS", "-1")
    importlib.reload(app)
    with pytest.raises(SystemExit) as raised:
        _ = app.app
    assert raised.value.code == 3
    assert "LOGS_TAILS='-1'" in capsys.readouterr().err
