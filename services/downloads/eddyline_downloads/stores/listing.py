"""Walks a folder in the order of paths, from any place on, holding one folder's names at a time."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def walk(root: Path, prefix: str, after: str) -> Generator[tuple[str, os.stat_result]]:
    """Regular files, no links, whose path begins with `prefix` and is greater than `after`."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    yield from _walk(folder, "", prefix, after)


def _walk(folder: int, base: str, prefix: str, after: str) -> Iterator[tuple[str, os.stat_result]]:
    """Closes `folder`."""
    try:
        for name in _names(folder):
            path = base + name
            try:
                if not name.endswith("/"):
                    if path.startswith(prefix) and path > after:
                        yield path, os.stat(name, dir_fd=folder, follow_symlinks=False)
                elif _may_hold(path, prefix, after):
                    below = os.open(name, _FOLDER, dir_fd=folder)
                    yield from _walk(below, path, prefix, after)
            except OSError:
                # Gone since it was read, or not ours to read.
                continue
    finally:
        os.close(folder)


def _names(folder: int) -> list[str]:
    """Folders end in a slash: so the names sort as the paths beneath them do."""
    with os.scandir(folder) as entries:
        names = [
            entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
        ]
    # A name that is not UTF-8 cannot be asked for.
    return sorted(name for name in names if _is_text(name))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _may_hold(path: str, prefix: str, after: str) -> bool:
    """Whether paths that begin with `path` can be among those asked for."""
    matches = path.startswith(prefix) or prefix.startswith(path)
    return matches and (path > after or after.startswith(path))
