from pathlib import Path

import pytest

from eddyline.errors import SettingsError
from eddyline_records.settings import RecordsSettings


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDS_DATASETS", "a=sqlite:///a?table=t&key=k")
    assert list(RecordsSettings.read().by_name) == ["a"]


def test_a_bad_dataset_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDS_DATASETS", "users=mysql://x")
    with pytest.raises(SettingsError, match=r"RECORDS_DATASETS=.*is not a database"):
        RecordsSettings.read()


def test_the_demo_is_the_dataset_users_unless_there_is_one() -> None:
    demo = RecordsSettings(demo=Path("demo.db"))
    assert demo.by_name["users"].path == Path("demo.db")
    text = "users=sqlite:///real.db?table=t&key=k"
    assert RecordsSettings(demo=Path("demo.db"), datasets=text).by_name["users"].path == Path(
        "real.db"
    )
