import importlib
import sys

import pytest


def test_importing_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDS_DATASETS", "nonsense")
    sys.modules.pop("eddyline_records.app", None)
    importlib.import_module("eddyline_records.app")


def test_bad_settings_end_the_process_with_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECORDS_DATASETS", "nonsense")
    with pytest.raises(SystemExit) as caught:
        _ = importlib.import_module("eddyline_records.app").app
    assert caught.value.code == 3
    assert "RECORDS_DATASETS='nonsense'" in capsys.readouterr().err
