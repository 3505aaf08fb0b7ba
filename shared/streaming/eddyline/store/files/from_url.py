"""A store of files from its URL: `file:///var/lib/streams?sync=interval&interval=0.5`."""

from urllib.parse import unquote, urlsplit

from eddyline.errors import SettingsError
from eddyline.store.files.reader import FileReader
from eddyline.store.files.store import FileStore
from eddyline.store.stores import options_of


def store_from_url(url: str) -> FileStore | FileReader:
    """The parameters `sync`, `interval`, `max_bytes` and `archive` are a `FileStore`'s; with
    `read_only=1` it is a `FileReader`.
    """
    parts = urlsplit(url)
    if parts.netloc or parts.path in ("", "/"):
        raise SettingsError("the store URL: expected a folder, as in file:///var/lib/streams")
    folder = unquote(parts.path)
    options = options_of(url, sync=str, interval=float, max_bytes=int, archive=str, read_only=int)
    if options.pop("read_only", 0):
        archive = options.pop("archive", None)
        if options:
            name = next(iter(options))
            raise SettingsError(f"the store URL's {name}: of no use with read_only=1")
        return FileReader(folder, archive=None if archive is None else str(archive))
    return FileStore(folder, **options)  # type: ignore[arg-type]  # FileStore checks them
