"""Opens a file beneath a folder without ever waiting for a disk: openat2(2), which Python lacks.

A thread for each file costs more than sending a small one; `beneath.open_beneath` is for the rest.
"""

import ctypes
import os
import stat
import sys
from pathlib import Path
from typing import Any

_SYS_OPENAT2 = 437  # the same on every architecture that Python runs on but Alpha
_AT_FDCWD = -100
_RESOLVE_BENEATH = 0x08  # neither `..` nor a link leads out; magic links lead nowhere
_RESOLVE_CACHED = 0x20  # fails where the kernel would have to read a folder or ask a server

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", 0)
# As nginx: O_NONBLOCK, for a FIFO would hold the event loop until somebody writes to it.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class _OpenHow(ctypes.Structure):
    """struct open_how (linux/openat2.h)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_FOLDER_HOW = ctypes.byref(_OpenHow(_FOLDER, 0, _RESOLVE_CACHED))
_FILE_HOW = ctypes.byref(_OpenHow(_FILE, 0, _RESOLVE_BENEATH | _RESOLVE_CACHED))
_HOW_SIZE = ctypes.c_size_t(ctypes.sizeof(_OpenHow))

_syscall = ctypes.CDLL(None).syscall if sys.platform == "linux" else None


def open_cached(root: Path, path: str) -> int | None:
    """A descriptor of the regular file at `path`; None: ask `open_beneath`, which says why.

    So it is where the kernel does not have the way there in its caches, or is older than 5.12, or
    a sandbox forbids the call.
    """
    # A C string ends at a NUL: `a\0.txt` would be `a`.
    if _syscall is None or "\0" in path:
        return None
    folder = _openat2(_AT_FDCWD, os.fsencode(root), _FOLDER_HOW)
    if folder < 0:
        return None
    try:
        file = _openat2(folder, os.fsencode(path), _FILE_HOW)
    finally:
        os.close(folder)
    if file < 0:
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


def _openat2(folder: int, path: bytes, how: Any) -> int:
    """A descriptor, or -1, whatever the reason."""
    assert _syscall is not None
    return int(_syscall(_SYS_OPENAT2, folder, path, how, _HOW_SIZE))
