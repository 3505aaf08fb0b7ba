"""Puts the downloads service together: `app` alone, `service` as a part of standalone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from fastapi import APIRouter

from eddyline.errors import SettingsError, StreamingError
from eddyline.files.digests.digest_file import DigestFile
from eddyline.files.digests.digests import Digests
from eddyline.journal.backends import backend_from_url
from eddyline.journal.base import Backend
from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Demo, Example, Registration
from eddyline_downloads.demo import make_files
from eddyline_downloads.http.routes import DownloadsApi
from eddyline_downloads.links.link import LinkKeys
from eddyline_downloads.links.routes import LinksApi
from eddyline_downloads.links.uses import Uses
from eddyline_downloads.settings import DownloadsSettings
from eddyline_downloads.stores.folder import FolderStore


def service(context: Context, settings: DownloadsSettings) -> Service:
    store = FolderStore(settings.folder)
    digests = _digests(settings)
    shared = _shared(settings)
    api = DownloadsApi(context, settings, store, digests)
    uses = Uses(None if shared is None else shared.state)
    routes = APIRouter()
    routes.include_router(api.routes())
    routes.include_router(LinksApi(_link_keys(settings), uses, store, api.send).routes())

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if settings.demo:
            await asyncio.to_thread(make_files, settings.folder)
        try:
            async with nullcontext() if shared is None else shared.run():
                yield
        finally:
            if digests is not None:
                digests.close()

    return Service("downloads", routes, lifespan, store.fault)


def _link_keys(settings: DownloadsSettings) -> LinkKeys | None:
    keys = settings.link_keys.get_secret_value() if settings.link_keys is not None else ""
    return LinkKeys(keys.split(",")) if keys else None


def _shared(settings: DownloadsSettings) -> Backend | None:
    if settings.redis_url is None:
        return None
    backend = backend_from_url(settings.redis_url.get_secret_value(), "downloads")
    if settings.workers > 1 and not backend.state.shared:
        raise SettingsError(
            f"EDDYLINE_WORKERS={settings.workers}, and DOWNLOADS_REDIS_URL is memory://: a link"
            " that one worker revokes would be good at another; expected redis://, or 1 worker"
        )
    return backend


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
    bounded=("/files", "/small", "/download-links"),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
