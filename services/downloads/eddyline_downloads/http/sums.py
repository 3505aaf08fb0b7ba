"""The digests of all files of a folder, as `sha256sum --check` reads them."""

import asyncio
import os
from collections.abc import AsyncIterator
from time import time

from eddyline.errors import NotFound, Unavailable
from eddyline.files.digests.digests import Digests
from eddyline.files.version import TICK, FileVersion
from eddyline_downloads.stores.base import MayRead, Store

#: Files of one look into the store.
PAGE = 100

#: Attempts at a file that is written to; each of them waits until another write would be seen.
TRIES = 3


async def sums(
    store: Store, digests: Digests, folder: str, may_read: MayRead
) -> AsyncIterator[str]:
    """A line for each file beneath `folder`, in the order of their paths, which are relative to it.

    Raises NotFound before the first line where there is no file, and later where one has gone.
    """
    prefix = f"{folder}/" if folder else ""
    cursor: str | None = ""
    empty = True
    while cursor is not None:
        page = await store.page(prefix, cursor, PAGE, may_read)
        cursor = page.cursor
        for entry in page.files:
            empty = False
            yield _line(await _digest(store, digests, entry.path), entry.path[len(prefix) :])
    if empty:
        raise NotFound(f"there is no file in {folder[:200]!r}")


async def _digest(store: Store, digests: Digests, path: str) -> bytes:
    for _ in range(TRIES):
        with await store.open(path) as file:
            version = FileVersion.from_status(os.fstat(file.fileno()))
            digest = await digests.digest(file.fileno(), version, time())
        if digest is not None:
            return digest
        await asyncio.sleep(TICK)
    raise Unavailable(f"{path[:200]!r} is written to: ask again when it is ready")


def _line(sha256: bytes, name: str) -> str:
    """As GNU's sha256sum writes it: the backslash at the beginning announces escapes."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if escaped != name else ""
    return f"{mark}{sha256.hex()}  {escaped}\n"
