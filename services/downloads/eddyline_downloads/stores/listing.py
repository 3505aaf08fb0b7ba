"""Walks a folder in the order of paths, from any place on, holding one folder's names at a time."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

from eddyline_downloads.stores.base import is_hidden
from eddyline_downloads.stores.safe_open import open_beneath, open_folder_beneath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: A folder, as the file system knows it: device and inode.
_Place = tuple[int, int]


def walk(root: Path, prefix: str, after: str) -> Generator[tuple[str, os.stat_result]]:
    """Regular files whose path begins with `prefix` and is greater than `after`.

    Links are followed as `open_beneath` follows them, but for one to a folder that holds the link:
    its files have a shorter path.
    """
    yield from _Walk(root, prefix, after).below(os.open(root, _FOLDER & ~os.O_NOFOLLOW), "", ())


class _Walk:
    def __init__(self, root: Path, prefix: str, after: str) -> None:
        self._root = root
        self._prefix = prefix
        self._after = after

    def below(
        self, folder: int, base: str, above: tuple[_Place, ...]
    ) -> Iterator[tuple[str, os.stat_result]]:
        """Closes `folder`."""
        try:
            place = _place(folder)
            if place in above:
                return
            for name, is_link in _names(folder):
                path = base + name
                try:
                    if not name.endswith("/"):
                        if path.startswith(self._prefix) and path > self._after:
                            yield path, self._status(folder, path, name, is_link)
                    elif self._may_hold(path):
                        inner = self._open(folder, path, name, is_link)
                        yield from self.below(inner, path, (*above, place))
                except OSError:
                    # Gone since it was read, not ours to read, or a link that leads out.
                    continue
        finally:
            os.close(folder)

    def _status(self, folder: int, path: str, name: str, is_link: bool) -> os.stat_result:
        if not is_link:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        file = open_beneath(self._root, path)
        try:
            return os.fstat(file)
        finally:
            os.close(file)

    def _open(self, folder: int, path: str, name: str, is_link: bool) -> int:
        if is_link:
            return open_folder_beneath(self._root, path)
        return os.open(name, _FOLDER, dir_fd=folder)

    def _may_hold(self, path: str) -> bool:
        """Whether paths that begin with `path` can be among those asked for."""
        matches = path.startswith(self._prefix) or self._prefix.startswith(path)
        return matches and (path > self._after or self._after.startswith(path))


def _names(folder: int) -> list[tuple[str, bool]]:
    """Names, and whether each is a link. Folders end in a slash: so the names sort as the paths
    beneath them do.
    """
    with os.scandir(folder) as entries:
        names = [
            (entry.name + "/" if is_folder else entry.name, entry.is_symlink())
            for entry in entries
            if not is_hidden(entry.name) and (is_folder := _is_folder(entry)) is not None
        ]
    # A name that is not UTF-8 cannot be asked for.
    return sorted(name for name in names if _is_text(name[0]))


def _is_folder(entry: os.DirEntry[str]) -> bool | None:
    """False for a file; None for any other thing, such as a device or a link to nothing."""
    try:
        if entry.is_dir():
            return True
        return False if entry.is_file() else None
    except OSError:  # a link to itself
        return None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(folder: int) -> _Place:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino
