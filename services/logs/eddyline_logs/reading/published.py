"""How far the files of a source are published: there a reader of files and the journal meet."""

import os
from typing import NamedTuple

from eddyline.journal.cursor import Cursor
from eddyline_logs.files.base import File, Identity
from eddyline_logs.files.place import Place, Spot


class Published(NamedTuple):
    """How far each file that is held was published, at the moment of `cursor`, the journal's head.

    `front`: the newest file of which anything was published, or that was read from its end on; None
    where there is none. `place` is that after the last line. `ends`: the last known sizes of files
    that are gone, by inode.
    """

    cursor: Cursor
    place: Place
    front: Identity | None
    spots: dict[Identity, Spot]
    ends: dict[int, int]
    #: The descriptors of the tail, by inode.
    descriptors: dict[int, int]

    def end(self, file: File) -> int | None:
        """The offset up to which a file was published, or is there; None where only reading tells.

        It may be that of a file which was truncated since: see `is_current`.
        """
        spot = self.spots.get(file.identity)
        return file.end() if spot is None else spot.offset

    def held(self, spot: Spot) -> File | None:
        """A file that the tail still reads, though it is deleted, or nobody knows its name."""
        number = self.descriptors.get(spot.inode)
        if number is None:
            return None
        try:
            file = File(os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return None  # closed meanwhile, or no Linux
        if file.identity[1] == spot.inode and spot.is_in(file):
            return file
        file.close()
        return None

    def is_current(self, file: File) -> bool:
        """Whether the newest file is as it was published, and not truncated since. Reads."""
        spot = self.spots.get(file.identity)
        return file.identity == self.front and (spot is None or spot.is_in(file))
