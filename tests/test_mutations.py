"""The list of sabotages of scripts/mutants.py: each can be applied, and the rooms all have some."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MUTANTS = runpy.run_path(str(ROOT / "scripts" / "mutants.py"))
LIST: list[Any] = MUTANTS["mutations"]()

#: Rooms without a sabotage of their own: tools of tests.
WITHOUT = {"testing"}

#: Not those that `make new-service` makes: they begin without.
SERVICES = {"chat", "downloads", "events", "logs", "records", "standalone", "streams"}


@pytest.mark.parametrize("mutation", LIST, ids=lambda mutation: mutation.name)
def test_a_sabotage_can_be_applied(mutation: Any) -> None:
    assert MUTANTS["fault"](mutation) is None
    assert mutation.old != mutation.new
    assert mutation.tests


def test_each_has_a_name_of_its_own() -> None:
    assert len({mutation.name for mutation in LIST}) == len(LIST) >= 40


def test_every_room_and_every_service_is_sabotaged() -> None:
    files = [Path(mutation.file) for mutation in LIST]
    library = ROOT / "shared/streaming/eddyline"
    rooms = {folder.parent.name for folder in library.glob("*/__init__.py")} - WITHOUT
    assert rooms - {file.parent.name for file in files} == set()
    assert SERVICES - {file.parts[1] for file in files} == set()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"old": "not there"}, "stands 0 times"),
        ({"old": "import"}, "times"),
        ({"file": "gone.py"}, "there is no gone.py"),
        ({"tests": ("gone",)}, "there is no gone"),
    ],
)
def test_a_sabotage_that_no_longer_fits_is_named(changed: dict[str, Any], fault: str) -> None:
    assert fault in MUTANTS["fault"](MUTANTS["Mutation"](**(vars(LIST[0]) | changed)))
