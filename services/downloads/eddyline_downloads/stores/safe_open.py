"""Opens files beneath a folder, and nothing else, for any path and any links on its way.

`open_nonblocking` asks openat2(2), which Python lacks, and never waits for a disk: a thread for
each file would cost more than sending a small one. `open_beneath` does the rest, in a thread.
"""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: As many links as Linux follows before it says ELOOP.
MAX_LINKS = 40

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = _ROOT | os.O_NOFOLLOW
# As nginx: without O_NONBLOCK a FIFO would hold the caller until somebody writes to it.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_SYS_OPENAT2 = 437  # the same on every architecture that Python runs on but Alpha
_AT_FDCWD = -100
_RESOLVE_BENEATH = 0x08  # neither `..` nor a link leads out; magic links lead nowhere
_RESOLVE_CACHED = 0x20  # fails where the kernel would have to read a folder or ask a server


class _OpenHow(ctypes.Structure):
    """struct open_how (linux/openat2.h)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_ROOT_HOW = ctypes.byref(
    _OpenHow(os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", 0), 0, _RESOLVE_CACHED)
)
_FILE_HOW = ctypes.byref(_OpenHow(_FILE, 0, _RESOLVE_BENEATH | _RESOLVE_CACHED))
_HOW_SIZE = ctypes.c_size_t(ctypes.sizeof(_OpenHow))

_syscall = ctypes.CDLL(None).syscall if sys.platform == "linux" else None


def open_nonblocking(root: Path, path: str) -> int | None:
    """A descriptor of the regular file at `path`; None: ask `open_beneath`, which says why.

    None is the answer, too, where the kernel does not have the way there in its caches, where it is
    older than 5.12, and where a sandbox forbids the call.
    """
    # A C string ends at a NUL: `a\0.txt` would be `a`.
    if _syscall is None or "\0" in path:
        return None
    folder = _openat2(_AT_FDCWD, os.fsencode(root), _ROOT_HOW)
    if folder < 0:
        return None
    try:
        file = _openat2(folder, os.fsencode(path), _FILE_HOW)
    finally:
        os.close(folder)
    return file if file >= 0 and _is_regular(file) else None


def _openat2(folder: int, path: bytes, how: Any) -> int:
    """A descriptor, or -1 for any error."""
    assert _syscall is not None
    return int(_syscall(_SYS_OPENAT2, folder, path, how, _HOW_SIZE))


def open_beneath(root: Path, path: str) -> int:
    """A descriptor of the regular file at `path`; raises OSError.

    Links may lead anywhere beneath `root`; one that is absolute or leaves it is refused. Each step
    is taken from the open folder before it: nobody can swap a checked name for another in between.
    """
    with _opened(root) as folders:
        file = _walk(folders, path)
        if file is None:
            raise IsADirectoryError(errno.EISDIR, "a folder")
        return file


def open_folder_beneath(root: Path, path: str) -> int:
    """A descriptor of the folder at `path`, by the same rule; raises OSError."""
    with _opened(root) as folders:
        file = _walk(folders, path)
        if file is None:
            return os.dup(folders[-1])
        os.close(file)
        raise NotADirectoryError(errno.ENOTDIR, "a file")


@contextmanager
def _opened(root: Path) -> Iterator[list[int]]:
    folders = [os.open(root, _ROOT)]
    try:
        yield folders
    finally:
        for folder in folders:
            os.close(folder)


def _walk(folders: list[int], path: str) -> int | None:
    """Takes `path` step by step; `folders` are the open folders down to where it is. None: it leads
    to the last of them.
    """
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
    return None


def _link_target(name: str, folder: int, links: int) -> list[str]:
    if links > MAX_LINKS:
        raise OSError(errno.ELOOP, "too many links")
    target = os.readlink(name, dir_fd=folder)
    if target.startswith("/"):
        raise OSError(errno.EXDEV, "an absolute link")
    return target.split("/")


def _open_regular(name: str, folder: int) -> int:
    file = os.open(name, _FILE | os.O_NOFOLLOW, dir_fd=folder)
    if not _is_regular(file):
        # Another file has the name since its mode was read.
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def _is_regular(file: int) -> bool:
    """Closes a file that is none: a folder, a FIFO, a socket, a device."""
    if stat.S_ISREG(os.fstat(file).st_mode):
        return True
    os.close(file)
    return False
