"""The store that is a dict: for tests, and for files that a program makes itself."""

import os
import tempfile
from collections.abc import Mapping
from io import FileIO

from eddyline.responses.file import strong_etag
from eddyline_downloads.stores.base import ListedFile, ListingPage, MayRead, absent


class MemoryStore:
    """Files as a mapping of paths to contents; `modified` is in Unix nanoseconds."""

    def __init__(self, files: Mapping[str, bytes], modified: int = 0) -> None:
        self.files = files
        self.modified = modified

    def fault(self) -> str | None:
        return None

    async def open(self, path: str) -> FileIO:
        content = self.files.get(path)
        if content is None:
            raise absent(path)
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.seek(0)
            os.utime(file.fileno(), ns=(self.modified, self.modified))
            return FileIO(os.dup(file.fileno()), "rb")

    async def page(self, prefix: str, after: str, limit: int, may_read: MayRead) -> ListingPage:
        paths = [
            p for p in sorted(self.files) if p.startswith(prefix) and p > after and may_read(p)
        ]
        files = [await self._entry(path) for path in paths[:limit]]
        return ListingPage(files, paths[limit - 1] if len(paths) > limit else None)

    async def _entry(self, path: str) -> ListedFile:
        with await self.open(path) as file:
            status = os.fstat(file.fileno())
        return ListedFile(path, status.st_size, status.st_mtime, strong_etag(status))
