"""The store that is a dict: for tests, and for files that a program makes itself."""

import os
import tempfile
import weakref
from collections.abc import Mapping
from io import FileIO

from eddyline.files.version import FileVersion
from eddyline_downloads.stores.base import ListedFile, ListingPage, MayRead, absent, is_hidden


class MemoryStore:
    """Files as a mapping of paths to contents; `modified` is in Unix nanoseconds."""

    def __init__(self, files: Mapping[str, bytes], modified: int = 0) -> None:
        self.files = files
        self.modified = modified
        #: Contents that were asked for, as files of the system, whose inodes tell versions apart.
        self._written: dict[str, tuple[bytes, str]] = {}

    def fault(self) -> str | None:
        return None

    async def open(self, path: str) -> FileIO:
        content = self.files.get(path)
        if content is None or is_hidden(path):
            raise absent(path)
        kept = self._written.get(path)
        if kept is None or kept[0] != content:
            kept = self._written[path] = content, self._write(content)
        return FileIO(kept[1], "rb")

    async def page(self, prefix: str, after: str, limit: int, may_read: MayRead) -> ListingPage:
        paths = [
            path
            for path in sorted(self.files)
            if path.startswith(prefix) and path > after and may_read(path) and not is_hidden(path)
        ]
        files = [await self._entry(path) for path in paths[:limit]]
        return ListingPage(files, paths[limit - 1] if len(paths) > limit else None)

    def _write(self, content: bytes) -> str:
        file, name = tempfile.mkstemp()
        weakref.finalize(self, os.unlink, name)
        with open(file, "wb") as written:
            written.write(content)
        os.utime(name, ns=(self.modified, self.modified))
        return name

    async def _entry(self, path: str) -> ListedFile:
        with await self.open(path) as file:
            return ListedFile(path, FileVersion.from_status(os.fstat(file.fileno())))
