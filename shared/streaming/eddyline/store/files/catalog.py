"""The streams of a store, by their keys: the little that must be known of each at all times."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eddyline.store.base import StreamConfig
from eddyline.store.files.appending import Appender
from eddyline.store.files.keeper import STREAMS
from eddyline.store.segments.archive import digest_of
from eddyline.store.segments.loading import Loaded, read_header
from eddyline.store.segments.stream import FileStream

#: Bytes that a write takes beside its records, about.
FRAME = 80


@dataclass(slots=True, eq=False)
class Entry:
    """One stream. `forks`: streams that hold records of it. `deleted`: only these keep it.

    `used`: when it was last used, in unix seconds, and `noted` as the disk has it. `stream`: its
    state, once it is loaded. `appender`: its writes, once there were any. `closed`: it
    may have closed segments that are not in the archive.
    """

    key: str
    folder: Path
    config: StreamConfig
    source: str | None
    bytes: int
    used: float
    forks: int = 0
    deleted: bool = False
    stream: FileStream | None = None
    appender: Appender | None = None
    noted: float = 0.0
    closed: bool = False

    def expired(self, now: float) -> bool:
        if self.deleted:
            return False
        if self.config.expires_at is not None and now >= self.config.expires_at:
            return True
        ttl = self.config.ttl
        followed = self.stream is not None and self.stream.followers
        return ttl is not None and not followed and now - self.used >= ttl

    def grow(self, size: int) -> int:
        """Its files have so many bytes of records more. Returns how many are added to `bytes`."""
        before = self.bytes
        self.bytes += size + FRAME
        if self.config.trim and self.config.max_bytes is not None:
            # Its oldest segments are removed.
            self.bytes = min(self.bytes, 2 * self.config.max_bytes)
        return self.bytes - before

    @property
    def is_busy(self) -> bool:
        """Whether it has readers that are told of its growth, or writes on their way."""
        followed = self.stream is not None and bool(self.stream.followers)
        return followed or (self.appender is not None and self.appender.busy)


def folder_of(root: Path, key: str) -> Path:
    """Where the stream of a key is. Any text is a key, and no text is a path."""
    return root / STREAMS / digest_of(key)


def read_entry(folder: Path) -> Entry | None:
    """The stream in a folder; None where there is none."""
    try:
        loaded = read_header(folder)
        if loaded is None:
            return None
        entry = entry_of(folder, loaded)
        entry.used = entry.noted = used_at(folder)
        entry.deleted = (folder / "deleted").exists()
        files = list(os.scandir(folder))
        entry.bytes = sum(file.stat().st_size for file in files)
        entry.closed = sum(file.name.endswith(".data") for file in files) > 1
    except FileNotFoundError:
        return None
    return entry


def entry_of(folder: Path, loaded: Loaded) -> Entry:
    fork = loaded.state.fork
    source = None if fork is None else fork.source
    return Entry(loaded.key, folder, loaded.state.config, source, 0, time.time())


def used_at(folder: Path) -> float:
    """When a stream was last used, by any process, in unix seconds."""
    return folder.stat().st_mtime


def note_use(entries: list[Entry]) -> None:
    """Writes down when streams were used, for later starts."""
    for entry in entries:
        with suppress(FileNotFoundError):  # removed in the meantime
            os.utime(entry.folder, (entry.used, entry.used))
            entry.noted = entry.used
