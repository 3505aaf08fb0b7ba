"""The store that is a folder."""

import errno
from contextlib import closing
from io import FileIO
from itertools import islice
from pathlib import Path

from eddyline.errors import Unavailable
from eddyline.files.version import FileVersion
from eddyline.threads import FILES
from eddyline_downloads.stores.base import ListedFile, ListingPage, MayRead, absent, is_hidden
from eddyline_downloads.stores.listing import walk
from eddyline_downloads.stores.safe_open import open_beneath, open_nonblocking

#: Errors that are due to the path that was asked for; every other one is the server's fault.
_ABSENT = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EXDEV,
        errno.EINVAL,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.ENXIO,
        errno.ENODEV,
    )
)


class FolderStore:
    """The regular files beneath a folder; links that lead out of it lead nowhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fault(self) -> str | None:
        return None if self.folder.is_dir() else "the folder of DOWNLOADS_STORE is not there"

    async def open(self, path: str) -> FileIO:
        if is_hidden(path):
            raise absent(path)
        try:
            file = open_nonblocking(self.folder, path)
        except UnicodeEncodeError:
            raise absent(path) from None
        if file is not None:
            return FileIO(file, "rb")
        # The kernel has to wait for a disk, or the path names no file.
        return await FILES.lane(self.folder).run(self._open, path)

    async def page(self, prefix: str, after: str, limit: int, may_read: MayRead) -> ListingPage:
        return await FILES.lane(self.folder).run(self._page, prefix, after, limit, may_read)

    def _open(self, path: str) -> FileIO:
        self._require_folder()
        try:
            return FileIO(open_beneath(self.folder, path), "rb")
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            raise absent(path) from None

    def _page(self, prefix: str, after: str, limit: int, may_read: MayRead) -> ListingPage:
        self._require_folder()
        with closing(walk(self.folder, prefix, after)) as files:
            readable = (
                ListedFile(path, FileVersion.from_status(status))
                for path, status in files
                if may_read(path)
            )
            found = list(islice(readable, limit + 1))
        return ListingPage(found[:limit], found[limit - 1].path if len(found) > limit else None)

    def _require_folder(self) -> None:
        fault = self.fault()
        if fault is not None:
            raise Unavailable(fault)
