import hashlib
import importlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from eddyline.errors import SettingsError
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


@pytest.fixture
def an_hour_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of responses: files that a test has just written are old ones."""
    clock = time.time
    monkeypatch.setattr("eddyline.responses.file.time", lambda: clock() + 3600)


async def first_part(folder: Path, **settings: Any) -> tuple[bytes, dict[str, str]]:
    app = create_app(DownloadsSettings(store=str(folder), demo=True, **settings))
    async with running(app) as server:
        async with await fetch(f"{server.url}/download/users.csv") as first:
            return await first.body(), first.headers


@pytest.mark.usefixtures("an_hour_has_passed")
@pytest.mark.parametrize(("digests", "status"), [("memory", 206), ("off", 200)])
async def test_a_download_goes_on_at_a_replica_that_has_a_copy(
    tmp_path: Path, digests: str, status: int
) -> None:
    """Without digests no server can tell a copy from another file."""
    content, head = await first_part(tmp_path / "one", digests=digests)
    headers = {"Range": "bytes=1000-", "If-Range": head["etag"]}
    other = DownloadsSettings(store=str(tmp_path / "other"), demo=True, digests=digests)
    async with running(create_app(other)) as server:
        async with await fetch(f"{server.url}/download/users.csv", headers=headers) as rest:
            assert rest.status == status
            assert await rest.body() == content[1000 if status == 206 else 0 :]


@pytest.mark.usefixtures("an_hour_has_passed")
async def test_digests_are_kept_in_a_file(tmp_path: Path) -> None:
    kept = tmp_path / "digests.sqlite"
    _, head = await first_part(tmp_path / "files", digests=str(kept))
    app = create_app(DownloadsSettings(store=str(tmp_path / "files"), digests=str(kept)))
    async with running(app) as server:
        async with await fetch(f"{server.url}/files?prefix=users") as listing:
            (entry,) = (await listing.json())["files"]
    digest = hashlib.sha256((tmp_path / "files" / "users.csv").read_bytes())
    assert (entry["etag"], entry["sha256"]) == (head["etag"], digest.hexdigest())


def test_a_file_that_cannot_keep_digests_is_named(tmp_path: Path) -> None:
    (tmp_path / "digests").write_text("a text" * 1000)
    settings = DownloadsSettings(store=str(tmp_path), digests=str(tmp_path / "digests"))
    with pytest.raises(SettingsError, match=r"DOWNLOADS_DIGESTS='.*': digests cannot be kept"):
        create_app(settings)
