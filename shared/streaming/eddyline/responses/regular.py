"""Opens a regular file by its path, and waits for nothing but the disk."""

import os
import stat
from io import FileIO

from eddyline.errors import NotFound

#: For clients: it names no folder of the server.
_ABSENT = "there is no such file"


def open_regular(path: str) -> FileIO:
    """Opens a file for reading; blocks. Raises NotFound where no regular file is there."""
    try:
        # Without O_NONBLOCK a named pipe would hold the thread until it has a writer.
        file = FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        raise NotFound(_ABSENT) from None  # ValueError: a NUL in the path
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotFound(_ABSENT)
    return file
