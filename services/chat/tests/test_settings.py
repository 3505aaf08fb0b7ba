"""The chat service's settings, good and bad."""

import pytest

from eddyline.errors import SettingsError
from eddyline_chat.settings import ChatSettings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UPSTREAM", "MODEL", "API_KEY"):
        monkeypatch.delenv(f"CHAT_{name}", raising=False)


def test_the_demo_is_the_default() -> None:
    assert ChatSettings.read().upstream == "demo"


def test_an_upstream_and_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_UPSTREAM", "https://llm.internal:8443/v1")
    monkeypatch.setenv("CHAT_MODEL", "m")
    settings = ChatSettings.read()
    assert (settings.upstream, settings.model) == ("https://llm.internal:8443/v1", "m")


def test_an_upstream_without_a_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_UPSTREAM", "http://llm/v1")
    with pytest.raises(SettingsError, match=r"CHAT_MODEL=''.*which model"):
        ChatSettings.read()


@pytest.mark.parametrize(
    "url", ["demo2", "ftp://llm/v1", "http://", "http://user:pass@llm/v1", "http://llm/?k=1"]
)
def test_what_is_no_base_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CHAT_UPSTREAM", url)
    with pytest.raises(SettingsError, match=r"CHAT_UPSTREAM=.*expected"):
        ChatSettings.read()


def test_the_key_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_API_KEY", "sk-not-to-be-seen")
    assert "sk-not-to-be-seen" not in str(ChatSettings.read())


def test_finish_reasons_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_FINISH_REASONS", "eos, end_turn")
    assert ChatSettings.read().finish_reasons == ("eos", "end_turn")


@pytest.mark.parametrize("reason", ["length", "content_filter", "error", "tool_calls"])
def test_a_reason_that_is_never_whole_is_refused(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setenv("CHAT_FINISH_REASONS", f"eos,{reason}")
    with pytest.raises(SettingsError, match=f"CHAT_FINISH_REASONS=.*'{reason}' says"):
        ChatSettings.read()
