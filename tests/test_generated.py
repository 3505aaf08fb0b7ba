"""The files that follow from the services are as `make generate` writes them."""

import runpy
from typing import Any

import pytest
from rendered import ROOT

SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "generate.py"))


@pytest.mark.parametrize("path", SCRIPT["FILES"])
def test_a_file_is_as_the_services_are(path: str) -> None:
    assert (ROOT / path).read_text() == SCRIPT["files"]()[path], "make generate was not run"


def test_a_bounded_prefix_is_one_of_a_route() -> None:
    for registration in SCRIPT["registrations"]().values():
        served = SCRIPT["Served"].from_registration(registration)
        for bounded in registration.bounded:
            assert any(f"{b}/".startswith(f"{bounded}/") for b in served.bounded), bounded


def test_the_tag_of_a_registry_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    pushed = 'images:\n  - name: localhost/eddyline/chat\n    newTag: "0.0.7"\n'
    for name in (SCRIPT["IMAGES"], "shared/streaming/pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / SCRIPT["IMAGES"]).write_text(pushed)
    (tmp_path / "shared/streaming/pyproject.toml").write_text('version = "0.0.8"\n')
    monkeypatch.setitem(SCRIPT["images"].__globals__, "ROOT", tmp_path)
    assert SCRIPT["images"]([]) == pushed
    (tmp_path / SCRIPT["IMAGES"]).write_text(pushed.replace("chat", ".+"))
    assert '"0.0.8"' in SCRIPT["images"]([])
