"""The file that a download grows in: the pieces that are there, and their version."""

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from eddyline.client.errors import StateFileError

#: Bytes of a piece at least: it is one request. And pieces of a file at most.
PIECE = 16 * 1024 * 1024
MOST_PIECES = 1000

#: Seconds between two notes of the place, which a kill costs at most.
_EVERY = 1.0


@dataclass(slots=True)
class Piece:
    """The bytes from `start` up to `end`, of which those before `at` are there."""

    start: int
    end: int
    at: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a file on the server. Without a strong `etag` no part of it can be resumed."""

    url: str
    size: int
    etag: str | None


class Part:
    """`NAME.part` beside the target, and `NAME.part.json` with its pieces.

    One process at a time has it: StateFileError. It is taken up where it is of the same version,
    and begun anew otherwise.
    """

    def __init__(self, target: Path, version: Version) -> None:
        self._target = target
        self._path = target.with_name(f"{target.name}.part")
        self._journal = target.with_name(f"{target.name}.part.json")
        self._version = version
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise StateFileError(f"{self._path} is in use by another process") from None
        self.pieces: list[Piece] = self._resumed() or self._anew()
        #: Bytes that were there from an earlier attempt.
        self.resumed: int = self.done
        self._noted_at = time.monotonic()
        self._noting = Lock()

    @property
    def done(self) -> int:
        return sum(piece.at - piece.start for piece in self.pieces)

    def write(self, piece: Piece, data: bytes) -> None:
        """The next bytes of a piece. It blocks for as long as the disk does."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, piece.at)
            piece.at += written
            view = view[written:]
        if time.monotonic() - self._noted_at > _EVERY:
            self.note()

    def begin_again(self, piece: Piece) -> None:
        piece.at = piece.start

    def note(self) -> None:
        """Notes the pieces, whose bytes reach the disk before: a power cut makes no false claim."""
        if self._version.etag is None:
            return
        with self._noting:
            self._noted_at = time.monotonic()
            places = [piece.at for piece in self.pieces]
            os.fdatasync(self._fd)
            made = self._journal.with_name(f"{self._journal.name}.new")
            made.write_text(json.dumps({**self._of_version(), "at": places}))
            os.replace(made, self._journal)

    def finish(self) -> None:
        """Gives the file its name; it is whole then, also after a power cut."""
        os.fsync(self._fd)
        os.replace(self._path, self._target)
        self._journal.unlink(missing_ok=True)

    def discard(self) -> None:
        self._journal.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._fd)

    def open(self) -> Any:
        """The file, for reading it once more."""
        return os.fdopen(os.dup(self._fd), "rb")

    def _anew(self) -> list[Piece]:
        self._journal.unlink(missing_ok=True)
        os.ftruncate(self._fd, 0)
        os.ftruncate(self._fd, self._version.size)
        return [Piece(start, end, start) for start, end in self._ranges()]

    def _resumed(self) -> list[Piece] | None:
        """The pieces of an earlier attempt; None where there are none of this very version."""
        kept: Any = None
        with suppress(OSError, ValueError):
            kept = json.loads(self._journal.read_text())
        if self._version.etag is None or not isinstance(kept, dict):
            return None
        ranges, places = self._ranges(), kept.pop("at", None)
        if kept != self._of_version() or os.fstat(self._fd).st_size != self._version.size:
            return None
        if not isinstance(places, list) or len(places) != len(ranges):
            return None
        pieces = [Piece(*bounds, at) for bounds, at in zip(ranges, places, strict=True)]
        return pieces if all(each.start <= each.at <= each.end for each in pieces) else None

    def _of_version(self) -> dict[str, Any]:
        version = self._version
        return {"url": version.url, "size": version.size, "etag": version.etag}

    def _ranges(self) -> list[tuple[int, int]]:
        size = self._version.size
        step = max(PIECE, -(-size // MOST_PIECES))
        if self._version.etag is None:
            step = max(1, size)
        return [(start, min(size, start + step)) for start in range(0, size, step)]
