"""How far the files of a source are published: there a reader of files and the journal meet."""

from typing import NamedTuple

from eddyline.journal.cursor import Cursor
from eddyline_logs.files.base import Identity
from eddyline_logs.files.place import Place


class Published(NamedTuple):
    """How far each file that is held was published, at the moment of `cursor`, the journal's head.

    `front`: the newest file of which anything was published, or that was read from its end on; None
    where there is none. `place` is that after the last line. `ends`: the last known sizes of files
    that are gone, by inode.
    """

    cursor: Cursor
    place: Place
    front: Identity | None
    offsets: dict[Identity, int]
    ends: dict[int, int]
