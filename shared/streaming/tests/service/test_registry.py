"""Services are found by their entry points, and run alone or together."""

from importlib.metadata import EntryPoint

import pytest
from fastapi import APIRouter
from pydantic_settings import SettingsConfigDict

from eddyline.auth.memory import MemoryVerifier
from eddyline.errors import SettingsError
from eddyline.service import registry
from eddyline.service.app import Context, Service
from eddyline.service.registry import Registration, registrations
from eddyline.service.settings import Settings
from eddyline.testing import fetch, running


class SomeSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="SOME_")

    answer: int = 42


def some(context: Context, settings: SomeSettings) -> Service:
    router = APIRouter()

    @router.get("/some")
    async def answer() -> int:
        return settings.answer

    return Service("some", router)


SOME = Registration("some", SomeSettings, some, path="/some")
ANOTHER = Registration("another", SomeSettings, some, path="/another")


def test_the_installed_services_come_in_alphabetical_order(monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        def __init__(self, registration: Registration[SomeSettings]) -> None:
            self._registration = registration

        def load(self) -> Registration[SomeSettings]:
            return self._registration

    asked = []

    def entry_points(*, group: str) -> list[Found]:
        asked.append(group)
        return [Found(SOME), Found(ANOTHER)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert list(registrations().items()) == [("another", ANOTHER), ("some", SOME)]
    assert asked == ["eddyline.services"]


def test_a_service_whose_files_are_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = EntryPoint("polls", "eddyline_polls.app:SERVICE", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [gone])
    with pytest.raises(SettingsError, match="'polls' is installed, and its module"):
        registrations()


def test_a_service_that_lacks_another_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: EntryPoint) -> None:
        raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")

    monkeypatch.setattr(EntryPoint, "load", load)
    lacking = EntryPoint("polls", "eddyline_polls.app:SERVICE", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [lacking])
    with pytest.raises(ModuleNotFoundError, match="duckdb"):
        registrations()


async def test_a_service_runs_alone() -> None:
    async with running(SOME.create_app(SomeSettings(answer=7))) as server:
        async with await fetch(server.url + "/some") as answer:
            assert await answer.body() == b"7"


async def test_a_service_alone_takes_a_verifier_of_tokens() -> None:
    verifier = MemoryVerifier({"opaque": {"sub": "ann", "exp": 2**32}})
    app = SOME.create_app(SomeSettings(), verifier)
    principal = await app.state.context.authenticator.verify("opaque")
    assert principal.subject == "ann"


async def test_a_service_alone_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_ANSWER", "8")
    async with running(SOME.create_app()) as server:
        async with await fetch(server.url + "/some") as answer:
            assert await answer.body() == b"8"


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_ANSWER", "many")
    with pytest.raises(SettingsError, match="SOME_ANSWER='many'"):
        SOME.with_context(Context.from_settings(Settings()))
