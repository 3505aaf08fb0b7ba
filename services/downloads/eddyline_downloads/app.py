"""Puts the downloads service together: `app` alone, `service` as a part of standalone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from eddyline.errors import SettingsError, StreamingError
from eddyline.files.digests.digest_file import DigestFile
from eddyline.files.digests.digests import Digests
from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Demo, Example, Registration
from eddyline_downloads.demo import make_files
from eddyline_downloads.http.routes import DownloadsApi
from eddyline_downloads.settings import DownloadsSettings
from eddyline_downloads.stores.folder import FolderStore


def service(context: Context, settings: DownloadsSettings) -> Service:
    store = FolderStore(settings.folder)
    digests = _digests(settings)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if settings.demo:
            await asyncio.to_thread(make_files, settings.folder)
        try:
            yield
        finally:
            if digests is not None:
                digests.close()

    routes = DownloadsApi(context, settings, store, digests).routes()
    return Service("downloads", routes, lifespan, store.fault)


def _digests(settings: DownloadsSettings) -> Digests | None:
    """Raises SettingsError for a file that cannot keep them."""
    if settings.digests == "off":
        return None
    if settings.digests == "memory":
        return Digests()
    try:
        return Digests(DigestFile(Path(settings.digests)))
    except StreamingError as error:
        raise SettingsError(f"DOWNLOADS_DIGESTS={settings.digests!r}: {error.detail}") from error


SERVICE = Registration(
    "downloads",
    DownloadsSettings,
    service,
    path="/files",
    examples=(
        Example("Resume a download", "curl -O -C - {url}/download/users.csv"),
        Example("The end of 10 GiB", "curl -s -r -16 {url}/download/huge.bin | xxd"),
        Example(
            "JSON, file, stream",
            "curl {url}/small; curl -sI {url}/static; curl -s {url}/stream | wc -c",
        ),
    ),
    demo=Demo(
        environment=lambda folder: {
            "DOWNLOADS_STORE": (folder / "files").as_uri(),
            "DOWNLOADS_DIGESTS": str(folder / "digests.sqlite"),
        },
        make=lambda folder: make_files(folder / "files"),
    ),
    bounded=("/files", "/small"),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
