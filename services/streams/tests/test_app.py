"""The app as a server loads it."""

import importlib

import pytest
from fastapi import FastAPI

from eddyline.errors import SettingsError
from eddyline_streams import app
from eddyline_streams.settings import StreamsSettings


def test_the_app_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_SSE", "7")
    importlib.reload(app)
    assert isinstance(app.app, FastAPI)


def test_a_bad_setting_ends_the_process_with_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMS_SSE", "long")
    importlib.reload(app)
    with pytest.raises(SystemExit) as raised:
        _ = app.app
    assert raised.value.code == 3
    assert "STREAMS_SSE='long'" in capsys.readouterr().err


def test_workers_would_each_have_streams_of_their_own() -> None:
    with pytest.raises(SettingsError, match="EDDYLINE_WORKERS=2"):
        app.create_app(StreamsSettings(workers=2))
