"""The app as a server loads it."""

import importlib

import pytest
from fastapi import FastAPI

from eddyline_chat import app
from eddyline_chat.settings import ChatSettings


def test_the_module_is_imported_without_reading_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHAT_UPSTREAM", "nonsense")
    importlib.reload(app)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = app.no_such_thing


def test_the_app_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT_UPSTREAM", raising=False)
    assert isinstance(app.app, FastAPI)


def test_a_bad_setting_exits_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAT_IDLE_TIMEOUT", "-1")
    importlib.reload(app)
    with pytest.raises(SystemExit) as raised:
        _ = app.app
    assert raised.value.code == 3
    assert "CHAT_IDLE_TIMEOUT='-1'" in capsys.readouterr().err


def test_the_document_shows_what_is_taken_and_that_the_demo_is_simulated() -> None:
    document = app.create_app(ChatSettings(upstream="demo")).openapi()
    for path in ("/chat", "/chat/stream", "/chat/sync"):
        assert "simulated" in document["paths"][path]["post"]["description"]
    body = document["paths"]["/chat/stream"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    assert "message" in document["components"]["schemas"]["ChatRequest"]["properties"]
