"""Crashes of the process, at random writes, and of the machine, which loses all unsynced bytes."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from eddyline.store.base import Batch, ProducerStamp, StreamEnded
from eddyline.store.files import appending
from eddyline.store.files.store import FileStore
from eddyline.store.segments import writing
from eddyline.testing.store_contract.helpers import KEPT, made, whole

WRITER = """
    import asyncio, random, sys
    from eddyline.store.base import Batch, StreamConfig
    from eddyline.store.files import appending
    from eddyline.store.files.store import FileStore

    appending.SEGMENT_BYTES = 20_000

    async def append(store, key, count):
        written = await store.create(key, StreamConfig())
        next = written.info.head.sequence + 1
        while True:
            texts = [f"{key} {next + n} ".encode() for n in range(count)]
            records = [text * random.randrange(1, 200) for text in texts]
            written = await store.append(key, Batch(records))
            print(key, written.info.head, flush=True)
            next = written.info.head.sequence + 1

    async def main():
        store = FileStore(sys.argv[1])
        async with store.run():
            await asyncio.gather(*(append(store, *each) for each in (("a", 1), ("b", 7), ("c", 3))))

    asyncio.run(main())
"""


def run_and_kill(folder: Path, lines: int) -> dict[str, str]:
    """The newest cursor that the writer printed for each stream, before it was killed."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(folder)]
    acknowledged: dict[str, str] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for n, line in enumerate(process.stdout):
            if line.endswith("\n"):
                key, cursor = line.split()
                acknowledged[key] = cursor
            if n == lines:
                process.send_signal(signal.SIGKILL)
    return acknowledged


async def test_a_kill_at_a_random_write_loses_nothing_that_was_acknowledged(tmp_path):
    folder = tmp_path / "streams"
    seen: dict[str, list[bytes]] = {"a": [], "b": [], "c": []}
    for _ in range(6):
        acknowledged = await asyncio.to_thread(run_and_kill, folder, random.randrange(200))
        store = FileStore(folder)
        async with store.run():
            for key in await store.list("", None, 10):
                records = await whole(store, key)
                # All that a reader was shown before stays as it was.
                assert records[: len(seen[key])] == seen[key]
                head = (await store.read(key, None, 0)).info.head
                assert head.sequence == len(records)
                if key in acknowledged:
                    epoch, sequence = acknowledged[key].split(".")
                    assert head.epoch == epoch
                    assert head.sequence >= int(sequence)
                for n, record in enumerate(records, 1):
                    text = f"{key} {n} ".encode()
                    assert record == text * (len(record) // len(text))
                seen[key] = records
    assert all(seen.values())


class Disk:
    """A folder as the disk has it: of each file the synced bytes, and of each folder the names."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, int]] = {}
        self._old: set[int] = set()
        self._real = {name: getattr(os, name) for name in ("fsync", "fdatasync")}
        for name, real in self._real.items():
            patch.setattr(os, name, lambda fd, real=real: (real(fd), self._note(fd)))

    def _note(self, fd: int) -> None:
        path, inode = Path(os.readlink(f"/proc/self/fd/{fd}")), os.fstat(fd).st_ino
        if path.is_dir():
            self._folders[inode] = {each.name: each.stat().st_ino for each in path.iterdir()}
        else:
            self._files[inode] = path.read_bytes()

    def cut(self, target: Path, random: random.Random | None = None) -> None:
        """The folder after a power cut. With `random`, some of the rest survives, in any order."""
        self._restore(self._root, target, random)

    def _restore(self, source: Path, target: Path, random: random.Random | None) -> None:
        target.mkdir()
        names = self._folders.get(source.stat().st_ino, {})
        for each in source.iterdir():
            inode = each.stat().st_ino
            top = source == self._root and each.is_dir()  # made once, long before
            if not (top or names.get(each.name) == inode or (random and random.random() < 0.5)):
                continue
            if each.is_dir():
                self._restore(each, target / each.name, random)
            else:
                self._restore_file(each, target / each.name, inode, random)

    def _restore_file(self, each: Path, target: Path, inode: int, random) -> None:
        content = self._files.get(inode, b"")
        if random is not None:
            now = each.read_bytes()
            length = random.randint(min(len(content), len(now)), len(now))
            zeros = random.random() < 0.3
            rest = now[len(content) : length]
            content = now[: len(content)] + (b"\0" * len(rest) if zeros else rest)
        target.write_bytes(content)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    root = tmp_path / "streams"
    root.mkdir()
    monkeypatch.setattr(appending, "SEGMENT_BYTES", 300)
    return Disk(root, monkeypatch)


@pytest.mark.parametrize("survives", [None, 1, 2, 3, 4])
async def test_a_power_cut_takes_nothing_that_was_acknowledged(disk, tmp_path, survives):
    store = FileStore(tmp_path / "streams")
    stamp = ProducerStamp("p", 0, 29)
    async with store.run():
        await made(store, b"first")
        for n in range(30):
            await store.append("k", Batch([b"%d" % n * 20], producer=ProducerStamp("p", 0, n)))
        await store.create("ended", KEPT, Batch([b"x"], "closed"))
        before = await store.read("k", None, 1_000_000)
        cut = tmp_path / "cut"
        disk.cut(cut, None if survives is None else random.Random(survives))
    again = FileStore(cut)
    async with again.run():
        assert await again.read("k", None, 1_000_000) == before
        assert not (await again.append("k", Batch([b"y"], producer=stamp))).new
        assert (await again.append("k", Batch([b"z"]))).info.head.epoch == before.info.head.epoch
        with pytest.raises(StreamEnded):
            await again.append("ended", Batch([b"y"]))


@pytest.mark.parametrize("survives", [None, *range(1, 9)])
async def test_after_a_power_cut_no_cursor_of_a_store_that_syncs_at_intervals_names_another_record(
    disk, tmp_path, survives
):
    store = FileStore(tmp_path / "streams", sync="interval", interval=3600)
    async with store.run():
        await made(store, b"first")
        for n in range(10):
            await store.append("k", Batch([b"%d" % n * 10]))
        before = await store.read("k", None, 1_000_000)
        cut = tmp_path / "cut"
        disk.cut(cut, None if survives is None else random.Random(survives))
    names = {record.cursor: record.data for record in before.records}
    again = FileStore(cut, sync="interval", interval=3600)
    async with again.run():
        kept = (await again.read("k", None, 1_000_000)).records
        assert kept == before.records[: len(kept)]
        for n in range(20):
            await again.append("k", Batch([b"new %d" % n]))
        after = (await again.read("k", None, 1_000_000)).records
        assert all(names.get(record.cursor, record.data) == record.data for record in after)
        for number, cursor in enumerate(names, 1):
            chunk = await again.read("k", cursor, 1_000_000)
            # A place that is lost is said to be; one that is not lost goes on there.
            assert (chunk.gap is None) == (number <= len(kept))
            if chunk.gap is None:
                assert chunk.records == after[number:]
    third = FileStore(cut)
    async with third.run():
        assert (await third.read("k", None, 1_000_000)).records == after


async def test_an_end_is_on_the_disk_however_seldom_writes_are_synced(disk, tmp_path):
    store = FileStore(tmp_path / "streams", sync="interval", interval=3600)
    async with store.run():
        await made(store, b"first")
        await store.append("k", Batch([b"second"]))
        await store.append("k", Batch([b"last"], "closed"))
        disk.cut(tmp_path / "cut")
    again = FileStore(tmp_path / "cut")
    async with again.run():
        assert await whole(again) == [b"first", b"second", b"last"]
        with pytest.raises(StreamEnded):
            await again.append("k", Batch([b"x"]))


async def test_writes_are_synced_at_intervals(tmp_path):
    store = FileStore(tmp_path / "streams", sync="interval", interval=0.01)
    synced = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = writing.os.fdatasync
    with pytest.MonkeyPatch.context() as patch:
        async with store.run():
            await made(store)
            await store.append("k", Batch([b"a"]))

            def sync(fd):
                real(fd)
                loop.call_soon_threadsafe(synced.set)

            patch.setattr(writing.os, "fdatasync", sync)
            await store.append("k", Batch([b"b"]))
            await asyncio.wait_for(synced.wait(), 20)
