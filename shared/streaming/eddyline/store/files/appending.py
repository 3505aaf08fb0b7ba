"""The writes of one stream on their way to the disk: those that wait there go together."""

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from zlib import crc32

from eddyline.errors import Overloaded, Unavailable
from eddyline.journal.cursor import new_epoch
from eddyline.store.base import Batch, Written
from eddyline.store.files.keeper import Run, Sync
from eddyline.store.segments.frames import frame
from eddyline.store.segments.loading import header, note
from eddyline.store.segments.segment import Segment
from eddyline.store.segments.state import Write
from eddyline.store.segments.stream import FileStream
from eddyline.store.segments.writing import SegmentWriter, sync_folder

#: Bytes of records, and of log, after which a segment is closed. Each start reads the last one.
SEGMENT_BYTES = 64 * 1024 * 1024
LOG_BYTES = 1024 * 1024

#: A stream that trims is to free its oldest segment before long.
_TRIMMED_PARTS = 4

logger: logging.Logger = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(slots=True, eq=False)
class _Queued:
    write: Write
    records: Sequence[bytes]
    written: Written
    done: asyncio.Future[None]


class Appender:
    """Checks the writes of a stream against all that precede them, and writes them in order."""

    def __init__(self, stream: FileStream, run: Run, sync: Sync, pool: Executor) -> None:
        self._stream = stream
        self._sync = sync
        self._pool = pool
        self._run = run
        #: Where the stream will be once all that waits is written.
        self._pending = stream.state.copy()
        self._queue: list[_Queued] = []
        self._last: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._writer: SegmentWriter | None = None
        # Acknowledged records may be lost: their cursors must not name others.
        self._epoch = new_epoch() if stream.loaded.run <= run.lossy else None
        self._unsynced = False
        self._broken = False

    @property
    def busy(self) -> bool:
        """Whether writes are on their way, or are not on the disk yet."""
        return self._task is not None or self._unsynced

    async def append(self, batch: Batch, make_room: Callable[[], None]) -> Written:
        """Raises as `StreamStore.append`. `make_room` is called before a new write is taken."""
        name, pending = repr(self._stream.key[:80]), self._pending
        if self._broken:
            raise Unavailable(f"the stream {name} can't be written: its disk failed", 30.0)
        repeated = pending.writers.is_repeated(name, pending.info, batch)
        idle = not (batch.records or batch.end or batch.producer or batch.order)
        if repeated or idle:
            written = Written(pending.info, not repeated, pending.writers.accepted(batch))
            # The first one may not be on the disk yet.
            await self.settled()
            return written
        make_room()
        queued = self._enqueue(name, batch)
        await asyncio.shield(queued.done)
        return queued.written

    async def settled(self) -> None:
        """Waits until all that was added before is written; raises where the last of it failed."""
        if self._last is not None:
            await asyncio.shield(self._last)

    async def sync(self) -> None:
        """Brings all that is written to the disk."""
        if self._unsynced and not self._broken:
            self._unsynced = False
            await asyncio.wait([self._start()])

    async def close(self) -> None:
        """Call it when it is not busy, or nothing is to be added."""
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._unsynced:
            await self.sync()
        self._shut()

    def _shut(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _enqueue(self, name: str, batch: Batch) -> _Queued:
        pending = self._pending
        dropped = pending.surplus(name, batch)
        epoch = self._epoch if batch.records and pending.epoch != self._epoch else None
        write = Write(
            [len(record) for record in batch.records],
            crc32(b"".join(batch.records)),
            batch.end,
            batch.producer,
            batch.order,
            dropped,
            epoch,
            self._run.number if epoch else 0,
        )
        pending.apply(write)
        written = Written(pending.info, accepted=pending.writers.accepted(batch))
        done = asyncio.get_running_loop().create_future()
        # The client may have left before a failure: nobody is there to be told.
        done.add_done_callback(lambda done: done.cancelled() or done.exception())
        queued = _Queued(write, batch.records, written, done)
        self._queue.append(queued)
        self._last = done
        self._start()
        return queued

    def _start(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write())
        return self._task

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                queued, self._queue = self._queue, []
                try:
                    segment, ends = await loop.run_in_executor(self._pool, self._commit, queued)
                except Exception as error:
                    self._fail([*queued, *self._queue], error)
                else:
                    self._done(segment, queued, ends)
                if not self._queue:
                    return
        finally:
            self._task = None

    def _commit(self, queued: list[_Queued]) -> tuple[Segment, list[int]]:
        """In a thread. Returns the segment that was written, and where each frame ends."""
        segment, writer = self._open()
        if not queued:
            writer.sync()
            return segment, []
        logs = [frame(each.write.to_json()) for each in queued]
        data = b"".join(b"".join(each.records) for each in queued)
        # An end is rare, and must not be taken back.
        sync = self._sync == "always" or any(each.write.end is not None for each in queued)
        writer.write(data, b"".join(logs), sync)
        self._unsynced = not sync
        ends, at = [], segment.log_bytes
        for log in logs:
            at += len(log)
            ends.append(at)
        return segment, ends

    def _open(self) -> tuple[Segment, SegmentWriter]:
        """The segment to write to: the last one, or the next one where that is long enough."""
        segment = self._stream.last_segment
        if self._writer is None:
            self._writer = SegmentWriter(segment)
        loaded = self._stream.loaded
        is_long = segment.data_bytes >= self._most() or segment.log_bytes >= LOG_BYTES
        if not is_long or loaded.state.next == segment.first:
            return segment, self._writer
        self._writer.sync()
        self._shut()
        following = Segment(self._stream.folder, loaded.state.next)
        self._writer = SegmentWriter(following)
        following.begin(self._writer.begin(header(loaded.key, loaded.run, loaded.state)))
        self._writer.sync()
        sync_folder(self._stream.folder)
        return following, self._writer

    def _most(self) -> int:
        config = self._stream.state.config
        if config.trim and config.max_bytes is not None:
            return min(SEGMENT_BYTES, config.max_bytes // _TRIMMED_PARTS)
        return SEGMENT_BYTES

    def _done(self, segment: Segment, queued: list[_Queued], ends: list[int]) -> None:
        loaded = self._stream.loaded
        if loaded.segments[-1] is not segment:
            loaded.segments.append(segment)
        for each, end in zip(queued, ends, strict=True):
            first = loaded.state.next
            note(loaded, segment, each.write, end)
            self._stream.deliver(first, each.records)
            if not each.done.done():
                each.done.set_result(None)
        self._trim()

    def _trim(self) -> None:
        """Removes the segments of which all records are trimmed."""
        loaded = self._stream.loaded
        while len(loaded.segments) > 1 and loaded.segments[0].next <= loaded.state.first:
            self._pool.submit(self._stream.forget, loaded.segments.pop(0))

    def _fail(self, queued: list[_Queued], error: Exception) -> None:
        """None of these is written, nor any that was checked against them."""
        self._queue, self._last = [], None
        self._pending = self._stream.state.copy()
        self._shut()
        # After another failure than a full disk, nobody knows which writes it has.
        self._broken = not (isinstance(error, OSError) and error.errno in _FULL)
        logger.error("a write to a stream failed: %r", error, extra={"key": self._stream.key})
        name = repr(self._stream.key[:80])
        for each in queued:
            if each.done.done():
                continue
            if self._broken:
                text = f"the stream {name}: its disk failed, and may have the write or not"
                each.done.set_exception(Unavailable(f"{text}: {error}"))
            else:
                text = f"the stream {name}: nothing was written: {error}"
                each.done.set_exception(Overloaded(text))
