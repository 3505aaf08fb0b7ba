import importlib
import sys
from pathlib import Path

import pytest

from eddyline.testing import fetch, running
from eddyline_downloads.app import create_app
from eddyline_downloads.settings import DownloadsSettings


def test_importing_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNLOADS_STORE", "s3://bucket")
    sys.modules.pop("eddyline_downloads.app", None)
    importlib.import_module("eddyline_downloads.app")


def test_bad_settings_end_the_process_with_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOWNLOADS_STORE", "s3://bucket")
    with pytest.raises(SystemExit) as caught:
        _ = importlib.import_module("eddyline_downloads.app").app
    assert caught.value.code == 3
    assert "DOWNLOADS_STORE='s3://bucket'" in capsys.readouterr().err


async def test_a_download_begins_anew_at_a_replica_that_has_a_copy(tmp_path: Path) -> None:
    one, other = (DownloadsSettings(store=str(tmp_path / n), demo=True) for n in ("one", "other"))
    async with running(create_app(one)) as server:
        async with await fetch(f"{server.url}/download/users.csv") as first:
            content = await first.body()
    headers = {"Range": "bytes=1000-", "If-Range": first.headers["etag"]}
    async with running(create_app(other)) as server:
        async with await fetch(f"{server.url}/download/users.csv", headers=headers) as rest:
            assert rest.status == 200
            assert await rest.body() == content
