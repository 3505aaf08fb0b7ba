"""One folder of the store as a list: its files and folders, not those further down."""

from collections.abc import Sequence
from dataclasses import dataclass

from eddyline.files.version import FileVersion
from eddyline_downloads.stores.base import ListedFile, MayRead, Store

#: Files of one look into the store.
PAGE = 1000

#: A path with this at its end comes after every path beneath it.
_LAST = chr(0x10FFFF)


@dataclass(frozen=True, slots=True)
class Entry:
    """`name` has no slash, but for the one at the end of a folder's, whose `version` is None."""

    name: str
    version: FileVersion | None


@dataclass(frozen=True, slots=True)
class Folder:
    """`path` is empty, or ends in a slash; `cursor` asks for the next part."""

    path: str
    entries: Sequence[Entry]
    cursor: str | None


async def read_folder(store: Store, path: str, after: str, limit: int, may_read: MayRead) -> Folder:
    """At most `limit` entries after the name `after`. A folder is there if one of its files is."""
    entries: list[Entry] = []
    cursor: str | None = path + (after + _LAST if after.endswith("/") else after)
    while cursor is not None and len(entries) <= limit:
        page = await store.page(path, cursor, min(PAGE, limit + 1), may_read)
        cursor = page.cursor
        for file in page.files:
            entry = _entry(path, file)
            if entries and entries[-1].name == entry.name:
                continue
            entries.append(entry)
        if cursor is not None and entries[-1].version is None:
            # On behind the folder, not through it.
            cursor = path + entries[-1].name + _LAST
    more = len(entries) > limit
    return Folder(path, entries[:limit], entries[limit - 1].name if more else None)


def _entry(path: str, file: ListedFile) -> Entry:
    name, slash, _ = file.path[len(path) :].partition("/")
    return Entry(name + slash, None if slash else file.version)
