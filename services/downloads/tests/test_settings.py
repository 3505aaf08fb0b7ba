from pathlib import Path

import pytest

from eddyline.errors import SettingsError
from eddyline_downloads.settings import DownloadsSettings


@pytest.mark.parametrize(
    ("store", "folder"),
    [
        ("file:///srv/files", "/srv/files"),
        ("file:///srv/my%20files", "/srv/my files"),
        ("file://localhost/srv", "/srv"),
        ("/srv/files", "/srv/files"),
        ("./files", "files"),
    ],
)
def test_a_store_is_a_folder(monkeypatch: pytest.MonkeyPatch, store: str, folder: str) -> None:
    monkeypatch.setenv("DOWNLOADS_STORE", store)
    assert DownloadsSettings.read().folder == Path(folder)


@pytest.mark.parametrize(
    ("store", "fault"),
    [
        ("s3://bucket/prefix", "not supported yet"),
        ("file://srv/files", "three slashes"),
        ("file:///", "three slashes"),
        ("http://host/x", "expected file:///"),
    ],
)
def test_a_bad_store_is_named(monkeypatch: pytest.MonkeyPatch, store: str, fault: str) -> None:
    monkeypatch.setenv("DOWNLOADS_STORE", store)
    with pytest.raises(SettingsError, match=rf"DOWNLOADS_STORE='{store}'.*{fault}"):
        DownloadsSettings.read()


@pytest.mark.parametrize("place", ["", "redis://host", "/srv/", "a\0"])
def test_a_bad_place_for_digests_is_named(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    with pytest.raises(ValueError, match="expected memory, off, or the path of a file"):
        DownloadsSettings(digests=place)


def test_lists_of_every_service_are_still_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A validator of the same name here would take the place of the one of all services."""
    monkeypatch.setenv("EDDYLINE_CORS_ORIGINS", "https://a.test,https://b.test")
    assert DownloadsSettings.read().cors_origins == ("https://a.test", "https://b.test")
