"""Opens files beneath a folder, and nothing else, whatever the path and the links on its way say.

As openat2(2) does with RESOLVE_BENEATH, which not every kernel or container has: each step is taken
from the open folder before it, so that nobody can swap a checked name for another in between.
"""

import errno
import os
import stat
from pathlib import Path

#: As many as Linux follows before it says ELOOP.
MAX_LINKS = 40

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK a FIFO would hold the thread until somebody writes to it.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_beneath(root: Path, path: str) -> int:
    """A descriptor of the regular file at `path`; raises OSError.

    Links may lead anywhere beneath `root`; one that is absolute or leaves it is refused.
    """
    folders = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        return _walk(folders, path)
    finally:
        for folder in folders:
            os.close(folder)


def _walk(folders: list[int], path: str) -> int:
    """Takes `path` step by step; `folders` are the open folders down to where it is."""
    ahead = path.split("/")[::-1]
    links = 0
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if len(folders) == 1:
                raise OSError(errno.EXDEV, "leads out of the folder")
            os.close(folders.pop())
            continue
        mode = os.stat(name, dir_fd=folders[-1], follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            links += 1
            ahead.extend(_link_target(name, folders[-1], links)[::-1])
        elif stat.S_ISDIR(mode):
            folders.append(os.open(name, _FOLDER, dir_fd=folders[-1]))
        elif stat.S_ISREG(mode) and not ahead:
            return _open_regular(name, folders[-1])
        else:
            raise OSError(errno.EINVAL, "not a regular file")
    raise IsADirectoryError(errno.EISDIR, "a folder")


def _link_target(name: str, folder: int, links: int) -> list[str]:
    if links > MAX_LINKS:
        raise OSError(errno.ELOOP, "too many links")
    target = os.readlink(name, dir_fd=folder)
    if target.startswith("/"):
        raise OSError(errno.EXDEV, "an absolute link")
    return target.split("/")


def _open_regular(name: str, folder: int) -> int:
    file = os.open(name, _FILE, dir_fd=folder)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    # Swapped since it was looked at.
    os.close(file)
    raise OSError(errno.EINVAL, "not a regular file")
