import importlib
import sys

import pytest


def test_importing_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNLOADS_STORE", "s3://bucket")
    sys.modules.pop("downloads.app", None)
    importlib.import_module("downloads.app")


def test_bad_settings_end_the_process_with_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOWNLOADS_STORE", "s3://bucket")
    with pytest.raises(SystemExit) as caught:
        _ = importlib.import_module("downloads.app").app
    assert caught.value.code == 3
    assert "DOWNLOADS_STORE='s3://bucket'" in capsys.readouterr().err
