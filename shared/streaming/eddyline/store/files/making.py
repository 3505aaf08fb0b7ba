"""A new stream on the disk: whole, or not there at all."""

import shutil
from pathlib import Path
from zlib import crc32

from eddyline.store.base import Batch
from eddyline.store.files.keeper import Keeper
from eddyline.store.segments.frames import frame
from eddyline.store.segments.loading import Loaded, header, note
from eddyline.store.segments.segment import Segment
from eddyline.store.segments.state import Write
from eddyline.store.segments.writing import SegmentWriter, sync_folder


def make(keeper: Keeper, place: Path, loaded: Loaded, first: Batch) -> None:
    """Writes the stream into a folder of its own, and moves it to its place when it is whole.

    Its folder is on the disk then. After an OSError there is nothing.
    """
    folder = keeper.new_folder()
    try:
        segment = _write(folder, loaded, first)
        keeper.show(folder, place)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    segment.move(place)
    loaded.segments.append(segment)


def _write(folder: Path, loaded: Loaded, first: Batch) -> Segment:
    segment = Segment(folder, loaded.state.next)
    sizes = [len(record) for record in first.records]
    write = Write(sizes, crc32(b"".join(first.records)), first.end)
    writer = SegmentWriter(segment)
    try:
        segment.begin(writer.begin(header(loaded.key, loaded.run, loaded.state)))
        if first.records or first.end is not None:
            log = frame(write.to_json())
            writer.write(b"".join(first.records), log, sync=False)
            note(loaded, segment, write, segment.log_bytes + len(log))
        writer.commit(segment.log_bytes)
        writer.sync()
    finally:
        writer.close()
    sync_folder(folder)
    return segment
