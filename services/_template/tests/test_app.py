"""The app as a server loads it."""

import importlib

import pytest
from fastapi import FastAPI

from eddyline_sample import app


def test_the_app_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_LAST", "7")
    importlib.reload(app)
    assert isinstance(app.app, FastAPI)


def test_a_bad_setting_ends_the_process_with_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAMPLE_LAST", "many")
    importlib.reload(app)
    with pytest.raises(SystemExit) as raised:
        _ = app.app
    assert raised.value.code == 3
    assert "SAMPLE_LAST='many'" in capsys.readouterr().err
