"""SHA-256 of the content of files: computed in the background, once for each version."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Final, TypeVar

from eddyline.files.digests.digest_file import DigestFile
from eddyline.files.reading import sha256_of
from eddyline.files.version import FileVersion
from eddyline.threads import Threads

#: Bytes of a file whose digest is waited for at the first request, and the seconds of that.
SOON = 64 * 1024 * 1024
WAIT = 1.0

#: Seconds that a request waits for the digest of a file of any size, where it depends on it.
LONG_WAIT = 20.0

#: A tag that clients were told is told until nobody has asked for the file for QUIET seconds, and
#: for MOST seconds altogether: readers of many ranges take another tag for another file.
QUIET, MOST = 60.0, 3600.0

#: Versions whose digest is kept in memory, and files that wait for a thread, each of them open.
ENTRIES = 65_536
WAITING = 256

#: Of each device two large files and two small ones at a time: no small one waits for 100 GB.
HASHES: Final = Threads("hashes", threads=8, per_source=2)

V = TypeVar("V")

_log = logging.getLogger("eddyline.files")


class Digests:
    """The digests of a process's files. It belongs to one event loop; `close` ends its work.

    `file` keeps digests for other processes, and for the next one. The digest of a file is
    computed when the file is asked for, not before; a file that was written to in the last two
    seconds is asked for again later.
    """

    def __init__(self, file: DigestFile | None = None) -> None:
        self._file = file
        self._known: dict[tuple[int, ...], bytes] = {}
        #: When the tag of the facts of a version was told first, and last.
        self._told: dict[tuple[int, ...], tuple[float, float]] = {}
        self._running: dict[tuple[int, ...], asyncio.Future[bytes | None]] = {}
        self._closed = threading.Event()

    @property
    def waiting(self) -> int:
        """The files whose digest is being computed, or waits for it."""
        return len(self._running)

    def __contains__(self, version: FileVersion) -> bool:
        return version.identity in self._known

    def known(self, version: FileVersion) -> FileVersion:
        """The version, with its digest where that is known; its tag is about to be told."""
        digest = self._known.get(version.identity)
        if digest is None:
            return version
        return replace(version, sha256=digest, keeps_tag=self._keeps_tag(version.identity))

    async def find(
        self,
        file: int,
        version: FileVersion,
        now: float,
        *,
        whole: bool = True,
        needed: bool = False,
    ) -> None:
        """Starts on the digest of an open file, and waits a moment for it: then `known` has it.

        `now` is in Unix seconds. `whole`: all of the file is sent; a part of a large one is not
        worth its digest. `needed`: the request cannot be answered as well without it.
        """
        identity = version.identity
        running = self._running.get(identity)
        if identity in self._known or (running is None and not version.is_settled(now)):
            return
        worth = whole or needed or version.size <= SOON
        if running is None and worth and len(self._running) < WAITING:
            running = self._start(file, version)
        if running is not None and (needed or version.size <= SOON):
            await asyncio.wait({running}, timeout=LONG_WAIT if needed else WAIT)
        if identity not in self._known:
            told = monotonic()
            _put(self._told, identity, (self._told.get(identity, (told,))[0], told))

    async def recall(self, versions: Sequence[FileVersion]) -> list[FileVersion]:
        """The versions, each with its digest where that is known or kept; computes none."""
        file = self._file
        if file is not None:
            unknown = [each.identity for each in versions if each not in self]
            kept = await HASHES.lane(file).run(lambda: [file.get(each) for each in unknown])
            for identity, digest in zip(unknown, kept, strict=True):
                if digest is not None:
                    _put(self._known, identity, digest)
        return [self.known(version) for version in versions]

    async def digest(self, file: int, version: FileVersion, now: float) -> bytes | None:
        """The digest of an open file, however long it takes; None where the file changes."""
        if version.identity not in self._known and version.is_settled(now):
            running = self._running.get(version.identity) or self._start(file, version)
            await asyncio.wait({running})
        return self._known.get(version.identity)

    def close(self) -> None:
        """Closes `file`, and ends the work in threads: an interpreter that exits waits for them."""
        self._closed.set()
        if self._file is not None:
            self._file.close()

    def _keeps_tag(self, identity: tuple[int, ...]) -> bool:
        if (told := self._told.pop(identity, None)) is None:
            return False
        (first, last), now = told, monotonic()
        if now - last > QUIET or now - first > MOST:
            return False
        _put(self._told, identity, (first, now))
        return True

    def _start(self, file: int, version: FileVersion) -> asyncio.Future[bytes | None]:
        # The response closes its own file when it is sent.
        own = os.dup(file)
        lane = HASHES.lane((version.device, version.size > SOON))
        work = lane.submit(self._compute, own, version)
        work.add_done_callback(lambda _: os.close(own))
        running = asyncio.wrap_future(work)
        self._running[version.identity] = running
        running.add_done_callback(lambda done: self._take(version, done))
        return running

    def _take(self, version: FileVersion, done: "asyncio.Future[bytes | None]") -> None:
        del self._running[version.identity]
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            _log.warning("a file has no digest: it cannot be read", extra={"error": repr(error)})
        elif (digest := done.result()) is not None:
            _put(self._known, version.identity, digest)

    def _compute(self, file: int, version: FileVersion) -> bytes | None:
        """In a thread; None for a file that has changed meanwhile."""
        _yield_to_others()
        if self._file is not None and (kept := self._file.get(version.identity)) is not None:
            return kept
        _write_back(file)
        digest = sha256_of(file, version.size, self._closed.is_set)
        # Facts that were settled before the first read are those of all bytes that were read.
        if digest is None or FileVersion.from_status(os.fstat(file)) != version:
            return None
        if self._file is not None:
            self._file.put(version.identity, digest)
        return digest


def _write_back(file: int) -> None:
    """Of the writes by `mmap` to a page the first one alone moves a time, until the page is written
    back.
    """
    try:
        os.fdatasync(file)
    except (AttributeError, OSError):  # macOS, and file systems that only read
        return


def _yield_to_others() -> None:
    """Threads that send go first: on Linux each has a priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _put(entries: dict[tuple[int, ...], V], identity: tuple[int, ...], value: V) -> None:
    entries[identity] = value
    if len(entries) > ENTRIES:
        del entries[next(iter(entries))]
