"""An open file while it is sent: notices changes after which its bytes may be of two versions."""

import os
from collections.abc import Callable
from hashlib import blake2b

from eddyline.errors import StreamingError
from eddyline.files.reading import read_cached, sha256_of
from eddyline.files.version import FileVersion

#: Blocks of a file that are kept in mind, spread over all of it, and the bytes of each.
SAMPLES = 8
BLOCK = 4096

#: Attempts to read the samples between two writes to a file that grows all the time.
TRIES = 8


#: Of a file, the bytes that are wanted, and the offset of the first.
Read = Callable[[int, int, int], bytes | None]


class FileChanged(StreamingError):
    """The file was truncated or written to while it was sent: the bytes are of no version."""


class FileWatch:
    """Compares an open file with the version that a response has promised.

    Two changes may leave the promised bytes as they are: the file grew, or only its name, links or
    rights changed, as those of a file do that a rename replaces. Then samples of the bytes decide;
    of all other changes none is forgiven.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._seen = os.fstat(file)
        self._samples: bytes | None = None
        self._forgiven = False
        self.version: FileVersion = FileVersion.from_status(self._seen)

    @property
    def is_unchanged(self) -> bool:
        return _same(self._seen, os.fstat(self._file))

    def begin(self) -> None:
        """Reads samples of the version that the file has now, which becomes `version`; blocks."""
        self._begin(os.pread)

    def begin_at_once(self) -> bool:
        """The same, if no disk has to be waited for; False: ask `begin`."""
        return self._begin(read_cached)

    def _begin(self, read: Read) -> bool:
        for _ in range(TRIES):
            self._seen = os.fstat(self._file)
            samples = self._read_samples(self._seen.st_size, read)
            if samples is None:
                return False
            if self.is_unchanged:
                self._samples = samples
                break
        self.version = FileVersion.from_status(self._seen)
        return True

    def glance(self) -> None:
        """Raises FileChanged for a change that is not forgiven; never waits for a disk."""
        now = os.fstat(self._file)
        if not _same(self._seen, now) and not _is_forgivable(self._seen, now):
            raise self._changed(now)

    def check(self, sha256: bytes | None = None) -> None:
        """Raises FileChanged unless all bytes until now are of `version`; may block.

        `sha256`: the digest of the version, at the last look. Samples may miss a write, and the
        digest misses none: where a change was forgiven, all bytes are read again.
        """
        self._forgive()
        if self._forgiven and sha256 is not None:
            if sha256_of(self._file, self.version.size) != sha256:
                raise self._changed(os.fstat(self._file))
            self._forgiven = False

    def _forgive(self) -> None:
        now = os.fstat(self._file)
        if _same(self._seen, now):
            return
        if (
            self._samples is None
            or not _is_forgivable(self._seen, now)
            or self._read_samples(self.version.size) != self._samples
        ):
            raise self._changed(now)
        self._seen = now
        self._forgiven = True

    def _read_samples(self, size: int, read: Read = os.pread) -> bytes | None:
        """A digest of the samples; None where `read` has none of them."""
        digest = blake2b(digest_size=16)
        whole = size <= SAMPLES * BLOCK
        places = [0] if whole else [n * (size - BLOCK) // (SAMPLES - 1) for n in range(SAMPLES)]
        for place in places:
            sample = read(self._file, size if whole else BLOCK, place)
            if sample is None:
                return None
            digest.update(sample)
        return digest.digest()

    def _changed(self, now: os.stat_result) -> FileChanged:
        return FileChanged(
            f"the file was written to: {self.version.size} bytes long before, {now.st_size} now"
        )


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns, one.st_ctime_ns) == (
        other.st_size,
        other.st_mtime_ns,
        other.st_ctime_ns,
    )


def _is_forgivable(was: os.stat_result, now: os.stat_result) -> bool:
    if now.st_size != was.st_size:
        return now.st_size > was.st_size
    # `touch -r` and `cp -p` hide a write in the same way, but for these.
    return now.st_mtime_ns == was.st_mtime_ns and _rights(now) != _rights(was)


def _rights(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_nlink, status.st_mode, status.st_uid, status.st_gid
