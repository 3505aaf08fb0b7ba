"""A tail over real files that grow, rotate, shrink and vanish."""

import asyncio
import gzip
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO, Any

import pytest

from eddyline.journal.base import Entry
from eddyline.journal.cursor import Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.testing import eventually
from eddyline.wire.sse import Parser
from eddyline_logs.files.watches import Watches
from eddyline_logs.reading import tail as module
from eddyline_logs.reading.tail import Tail
from eddyline_logs.sources.base import Source
from eddyline_logs.sources.pods import ContainerChain
from eddyline_logs.sources.registry import Sources

Start = Callable[..., Awaitable["Followed"]]


class Followed:
    """A running tail and all that it has published."""

    def __init__(self, source: Source, line_limit: int, watches: Watches | None = None) -> None:
        self._watches = watches
        self.journal = MemoryJournal()
        self.published: list[Any] = []
        self.facts: list[Any] = []
        self._following = self.journal.follow(self)
        self._source = source
        self._line_limit = line_limit

    async def __aenter__(self) -> "Followed":
        await self._following.__aenter__()
        self.tail = Tail(self._source, self.journal, self._line_limit, self._watches)
        self.task = asyncio.create_task(self.tail.run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.tail.close()
        await self._following.__aexit__(None, None, None)

    def skip(self, head: Cursor) -> None:
        assert head.sequence == 0

    def deliver_ephemeral(self, topic: str, data: str) -> None: ...

    def signal(self, message: bytes) -> None: ...

    def deliver(self, entry: Entry) -> None:
        [event] = Parser().feed(entry.frame)
        value = json.loads(event.data)
        assert value["source"] == entry.topic
        shown = {"message": value.get("line"), "partial": f"<partial> {value.get('line')}"}
        self.published.append(shown.get(event.event, f"<{event.event}>"))
        self.facts.append(value)

    async def has_read(self, size: int) -> None:
        """Waits until so many bytes of the file are read, whole lines or not."""

        def read() -> bool:
            current = self.tail._current
            return current is not None and current.offset >= size

        await eventually(read)

    async def has(self, line: str) -> None:
        await eventually(lambda: line in self.published)

    async def sees(self, *expected: str) -> None:
        await eventually(lambda: len(self.published) >= len(expected))
        assert self.published == list(expected)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
async def start(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.setattr(module, "POLL", 0.01)
    monkeypatch.setattr(module, "PARTIAL_WAIT", 30.0)
    monkeypatch.setattr(ContainerChain, "interval", 0.02)
    before = len(os.listdir("/proc/self/fd"))
    running: list[Followed] = []

    async def begin(line_limit: int = 1000, pods: Path | None = None) -> Followed:
        source = Sources.parse(str(path.parent)).find(path.name)
        if pods is not None:
            source = Sources.parse(f"pods=cri:{pods}").find("pods/shop/web-0/app")
        running.append(await Followed(source, line_limit).__aenter__())
        return running[-1]

    yield begin
    for followed in running:
        await followed.__aexit__()
    assert len(os.listdir("/proc/self/fd")) == before


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def overwrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def open_for_writing(path: Path) -> IO[bytes]:
    return path.open("wb", buffering=0)


def rename(path: Path, to: Path) -> None:
    path.rename(to)


async def test_it_begins_at_the_end_and_takes_whole_lines(start: Start, path: Path) -> None:
    append(path, b"old\nbegun ")
    followed = await start()
    append(path, b"and ")
    append(path, "ended ü\r\nnext\npart".encode())
    await followed.sees("begun and ended ü", "next")


async def test_bytes_of_a_character_may_come_apart(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    for size, byte in enumerate("日\r\n".encode(), 1):
        append(path, bytes([byte]))
        await followed.has_read(size)
    await followed.sees("日")


async def test_a_rename_rotation_loses_nothing_and_keeps_order(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    with path.open("ab", buffering=0) as writer:
        writer.write(b"1\n")
        rename(path, path.with_suffix(".1"))
        writer.write(b"2\n")
        append(path, b"3\n")
        await followed.sees("1", "2", "<rotated>", "3")
        # A writer that has not noticed the rotation yet.
        writer.write(b"late\n")
        append(path, b"4\n")
        await eventually(lambda: len(followed.published) == 6)
        assert sorted(followed.published[4:]) == ["4", "late"]


async def test_what_comes_just_before_a_rotation_comes_before_the_new_file(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, b"")
    followed = await start()
    append(path, b"1\n")
    await followed.has("1")
    look = os.stat
    old = [f"{n:0100}" for n in range(3000)]

    def rotate_first(name: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        # After the last read of the old file and before the look at its name.
        if name == path:
            monkeypatch.setattr(os, "stat", look)
            append(path, "".join(line + "\n" for line in old).encode())
            rename(path, path.with_suffix(".1"))
            append(path, b"new\n")
        return look(name, *args, **kwargs)

    monkeypatch.setattr(os, "stat", rotate_first)
    await followed.sees("1", "<rotated>", *old, "new")


async def test_an_empty_successor_does_not_end_the_old_file(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    with path.open("ab", buffering=0) as writer:
        rename(path, path.with_suffix(".1"))
        append(path, b"")
        writer.write(b"1\n")
        await followed.sees("1")
        append(path, b"2\n")
        await followed.sees("1", "<rotated>", "2")


async def test_many_rotations(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    for n in range(20):
        append(path, b"%d\n" % n)
        await followed.has(str(n))
        rename(path, path.with_suffix(f".{n}"))
    lines = [line for line in followed.published if not line.startswith("<")]
    assert lines == [str(n) for n in range(20)]


async def test_the_rest_of_a_rotated_file_is_told(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROTATE_WAIT", 0.05)
    append(path, b"")
    followed = await start()
    append(path, b"whole\nunfinished")
    await followed.sees("whole")
    rename(path, path.with_suffix(".1"))
    append(path, b"new\n")
    await followed.sees("whole", "<rotated>", "new", "<partial> unfinished")


async def test_a_name_that_is_swapped_back_repeats_nothing(start: Start, path: Path) -> None:
    one, two = path.with_name("one"), path.with_name("two")
    append(one, b"")
    append(two, b"2\n")
    link(path, "one")
    followed = await start()
    append(one, b"1\n")
    await followed.sees("1")
    link(path, "two")
    await followed.sees("1", "<rotated>", "2")
    link(path, "one")
    append(one, b"3\n")
    await eventually(lambda: len(followed.published) == 5)
    # The old file is still read, so that either may come first.
    assert sorted(followed.published[3:]) == ["3", "<rotated>"]


async def test_a_symlink_that_is_swapped_to_the_outside_is_not_followed(
    start: Start, path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("outside") / "secret"
    append(secret, b"secret\n")
    append(path.with_name("one"), b"")
    link(path, "one")
    followed = await start()
    link(path, str(secret))
    await followed.sees("<waiting>")
    append(secret, b"more\n")
    link(path, "one")
    append(path, b"back\n")
    await eventually(lambda: len(followed.published) == 3)
    assert sorted(followed.published) == ["<reading>", "<waiting>", "back"]


async def test_truncation_begins_anew(start: Start, path: Path) -> None:
    append(path, b"old old old\nunfinished")
    followed = await start()
    await followed.has_read(22)
    overwrite(path, b"new\n")
    await followed.sees("<partial> unfinished", "<truncated>", "new")
    assert (followed.facts[1]["bytes"], followed.facts[1]["copied"]) == (22, False)


async def test_truncation_is_seen_though_the_file_has_grown_again(start: Start, path: Path) -> None:
    append(path, b"old\n")
    followed = await start()
    append(path, b"1\n")
    await followed.sees("1")
    overwrite(path, b"longer than all that was before\nand more\n")
    await followed.sees("1", "<truncated>", "longer than all that was before", "and more")


@pytest.mark.parametrize("dated", [False, True])
async def test_files_that_rotation_puts_between_two_looks_are_read(
    start: Start, path: Path, dated: bool
) -> None:
    append(path, b"")
    append(path.with_name("app.log.9"), b"older\n")  # it was there before
    os.utime(path.with_name("app.log.9"), (1, 1))
    followed = await start()
    # No await, so that no look sees one of these alone.
    for n in range(4):
        append(path, b"%d\n" % n)
        if dated:
            rename(path, path.with_name(f"app.log-2026112{n}"))
        else:
            for older in range(n, 0, -1):
                rename(path.with_name(f"app.log.{older}"), path.with_name(f"app.log.{older + 1}"))
            rename(path, path.with_name("app.log.1"))
    append(path, b"4\n")
    await followed.has("4")
    lines = [line for line in followed.published if not line.startswith("<")]
    assert lines == ["0", "1", "2", "3", "4"]


async def test_files_that_are_compressed_within_one_look_are_read(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    append(path, b"1\n")
    await followed.has("1")
    # No await: the file that is held, and the one after it, are compressed before the next look.
    append(path, b"2\n")
    compress(path, path.with_name("app.log.2.gz"))
    append(path, b"3\n4\n")
    compress(path, path.with_name("app.log.1.gz"))
    append(path, b"5\n")
    await followed.has("5")
    # A look may come between two of these steps: the news of a rotation then comes sooner.
    lines = [line for line in followed.published if line != "<rotated>"]
    assert lines == ["1", "2", "3", "4", "5"]
    assert followed.published.count("<rotated>") == 2


def compress(path: Path, to: Path) -> None:
    """As gzip does: the file is gone, and its time is kept."""
    status = path.stat()
    to.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(to, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()


async def test_a_late_line_turns_no_order(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    append(path, b"1\n")
    await followed.has("1")
    with path.open("ab", buffering=0) as late:
        rename(path, path.with_name("app.log.2"))
        append(path, b"2\n")
        rename(path, path.with_name("app.log.1"))
        append(path, b"3\n")
        os.utime(path.with_name("app.log.1"), (1, 1))
        late.write(b"late\n")
        await followed.has("3")
    lines = [line for line in followed.published if not line.startswith("<")]
    assert sorted(lines) == ["1", "2", "3", "late"]
    assert lines.index("2") < lines.index("3")


async def test_a_file_that_may_not_be_read_is_a_gap_of_its_size(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, b"")
    followed = await start()
    append(path, b"1\n")
    await followed.has("1")
    opened, secret = os.open, path.with_name("app.log.1")

    def refuse(name: Any, *args: Any, **kwargs: Any) -> int:
        if name == secret:
            raise PermissionError(13, "no", str(name))
        return opened(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)  # chmod does not stop root
    rename(path, path.with_name("app.log.2"))
    append(secret, b"secret\n")
    append(path, b"3\n")
    await followed.sees("1", "<rotated>", "<gap>", "<rotated>", "3")
    assert followed.facts[2] == {"source": "app.log", "bytes": 7, "reason": "unreadable"}


async def test_a_writer_that_missed_the_rotation_is_read_by_a_tail_that_came_later(
    start: Start, path: Path
) -> None:
    append(path, b"banner\n")
    append(path, b"old\n")
    with path.open("ab", buffering=0) as writer:
        rename(path, path.with_name("app.log.1"))
        append(path, b"banner\n")
        followed = await start()
        writer.write(b"late\n")
        await followed.sees("late")


async def test_the_log_of_another_process_is_no_rotated_file(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    append(path, b"1\n")
    rename(path, path.with_name("app.log.1"))
    for name in ("app-2.log", "app-error.log", "app.log.gz", "app.log.bak", "application.log"):
        append(path.with_name(name), b"another's\n")
    append(path, b"2\n")
    await followed.sees("1", "<rotated>", "2")


async def test_unread_lines_of_a_truncated_file_come_from_its_copy(
    start: Start, path: Path
) -> None:
    append(path, b"old\n")
    followed = await start()
    append(path, b"1\nbeg")
    await followed.has_read(9)
    # No await: two truncations come before the next look.
    append(path, b"un\n2\n")
    shutil.copy(path, path.with_name("app.log.2"))
    os.truncate(path, 0)
    append(path, b"3\n")
    shutil.copy(path, path.with_name("app.log.1"))
    overwrite(path, b"4\n")
    await followed.has("4")
    assert followed.published == ["1", "<truncated>", "begun", "2", "3", "4"]
    assert followed.facts[1]["copied"] is True


async def test_a_file_that_is_truncated_before_any_of_it_was_read_is_read_in_its_copy(
    start: Start, path: Path
) -> None:
    append(path, b"old\n")
    followed = await start()
    shutil.copy(path, path.with_name("app.log.2"))
    os.truncate(path, 0)
    await followed.sees("<truncated>")
    # No await, so that no look sees the first line in the file.
    for n in (1, 2):
        append(path, b"%d\n" % n)
        if n == 1:
            shutil.copy(path, path.with_name("app.log.1"))
            os.truncate(path, 0)
    await followed.has("2")
    assert [line for line in followed.published if not line.startswith("<")] == ["1", "2"]


async def test_a_copy_is_found_though_the_file_grew_to_the_same_size(
    start: Start, path: Path
) -> None:
    append(path, b"old\n")
    followed = await start()
    append(path, b"1\n")
    await followed.has("1")
    later = os.stat(path).st_mtime_ns + 10**9
    append(path, b"2\n")
    shutil.copy(path, path.with_name("app.log.1"))
    overwrite(path, b"three\n")
    os.utime(path, ns=(later, later))  # the clock of the file system is coarse
    await followed.sees("1", "<truncated>", "2", "three")


async def test_a_file_that_is_overwritten_to_the_same_size_is_read_again(
    start: Start, path: Path
) -> None:
    append(path, b"")
    followed = await start()
    expected: list[str] = []
    for n in range(5):
        overwrite(path, b"100000000%d\n" % n)
        expected += ["<truncated>"] * (n > 0) + [f"100000000{n}"]
        await followed.sees(*expected)


async def test_a_file_that_is_touched_is_not_read_again(start: Start, path: Path) -> None:
    append(path, b"old\n")
    followed = await start()
    append(path, b"1\n")
    await followed.has("1")
    os.utime(path, (1, 1))
    append(path, b"2\n")
    await followed.sees("1", "2")


async def test_a_half_line_is_told_as_such_and_comes_whole_later(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PARTIAL_WAIT", 0.02)
    append(path, b"")
    followed = await start()
    append(path, b"panic: ")
    await followed.sees("<partial> panic: ")
    assert followed.facts[0]["partial"] is True
    append(path, b"oom")
    await followed.sees("<partial> panic: ", "<partial> panic: oom")
    with path.open("ab", buffering=0) as writer:
        rename(path, path.with_suffix(".1"))
        append(path, b"new\n")
        await followed.has("new")
        writer.write(b"!\n")
        await followed.has("panic: oom!")


async def test_a_late_writer_is_read_as_long_as_it_writes(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROTATE_WAIT", 0.3)
    append(path, b"")
    followed = await start()
    with path.open("ab", buffering=0) as writer:
        rename(path, path.with_suffix(".1"))
        append(path, b"new\n")
        await followed.has("new")
        began = time.monotonic()
        n = 0
        while time.monotonic() - began < 0.8:
            writer.write(b"late %d\n" % n)
            await followed.has(f"late {n}")
            n += 1


async def test_the_hole_of_a_writer_that_was_truncated_is_no_line(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    with open_for_writing(path) as writer:
        writer.write(b"x" * 5000 + b"\n")
        await followed.sees("x" * 1000)
        os.truncate(path, 0)
        writer.write(b"1\n")
        await followed.sees("x" * 1000, "<truncated>", "1")


async def test_a_file_that_comes_later_is_read_from_its_start(start: Start, path: Path) -> None:
    followed = await start()
    assert followed.tail.state == "waiting"
    assert followed.tail.published().front is None
    assert b"event: waiting\n" in followed.tail.announcement("1")
    append(path, b"1\n2\n")
    await followed.sees("<waiting>", "<reading>", "1", "2")
    assert followed.tail.announcement("1") == b""


async def test_a_deleted_file_is_waited_for_and_comes_back(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    with path.open("ab", buffering=0) as writer:
        os.unlink(path)
        await followed.sees("<waiting>")
        writer.write(b"1\n")
        await followed.sees("<waiting>", "1")
    append(path, b"2\n")
    await followed.sees("<waiting>", "1", "<reading>", "<rotated>", "2")


async def test_an_unreadable_file_is_told(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAULT_PAUSE", 0.01)
    append(path, b"old\n")
    opened = os.open

    def refuse(name: Any, *args: Any, **kwargs: Any) -> int:
        if name == path:
            raise PermissionError(13, "no", str(path))
        return opened(name, *args, **kwargs)

    # chmod does not stop root, and root may run the tests.
    monkeypatch.setattr(os, "open", refuse)
    followed = await start()
    await followed.sees("<unreadable>")
    monkeypatch.setattr(os, "open", opened)
    await eventually(lambda: followed.tail.state == "reading")
    append(path, b"new\n")
    await followed.sees("<unreadable>", "<reading>", "new")


async def test_a_fault_of_the_disk_is_survived(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAULT_PAUSE", 0.01)
    append(path, b"")
    followed = await start()
    read = os.pread

    def fail(*args: Any) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    append(path, b"1\n")
    await followed.sees("<unreadable>")
    monkeypatch.setattr(os, "pread", read)
    await eventually(lambda: len(followed.published) == 3)
    assert sorted(followed.published) == ["1", "<reading>", "<unreadable>"]


async def test_a_long_line_is_cut(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start(line_limit=64)
    append(path, b"x" * 200_000)
    append(path, b"\nnext\n")
    await followed.sees("x" * 64, "next")


async def test_a_huge_append_leaves_the_loop_free(start: Start, path: Path) -> None:
    append(path, b"")
    followed = await start()
    append(path, b"\n" * 200_000)
    most, before = 0, 0
    while before < 200_000:
        await asyncio.sleep(0)
        most, before = max(most, len(followed.published) - before), len(followed.published)
    # Lines published in one turn of the loop.
    assert most <= 512


async def test_the_read_position_is_where_publishing_is(start: Start, path: Path) -> None:
    append(path, b"old\n")
    followed = await start()
    append(path, b"".join(b"%04d\n" % n for n in range(5000)))
    while len(followed.published) < 5000:
        [spot] = followed.tail.published().spots.values()
        assert spot.offset == 4 + 5 * len(followed.published)
        await asyncio.sleep(0)


async def test_changes_that_the_system_tells_of_are_read_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL", 3600.0)
    append(path, b"")
    watches = Watches()
    with watches.run():
        async with Followed(Sources.parse(str(path.parent)).find(path.name), 1000, watches) as a:
            with path.open("ab", buffering=0) as writer:
                append(path, b"1\n")
                await a.sees("1")
                rename(path, path.with_name("app.log.1"))
                append(path, b"2\n")
                await a.sees("1", "<rotated>", "2")
                writer.write(b"late\n")
                await a.has("late")
            for n in range(3):
                os.unlink(path)
                append(path, b"new %d\n" % n)
                await a.has(f"new {n}")
            path.parent.rename(path.parent.with_name("away"))
            path.parent.with_name("away").rename(path.parent)
            append(path, b"back\n")
            await a.has("back")
    assert not watches._woken


async def test_changes_that_nobody_tells_of_are_polled_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL", 0.01)
    # As on a file system of another machine: its files can be watched, and nothing is told.
    monkeypatch.setattr(Watches, "add", lambda *_, **__: 1)
    monkeypatch.setattr(Watches, "remove", lambda *_: None)
    monkeypatch.setattr(module, "IDLE", 0.1)
    append(path, b"")
    watches = Watches()
    with watches.run():
        async with Followed(Sources.parse(str(path.parent)).find(path.name), 1000, watches) as a:
            await eventually(lambda: a.tail._polled)
            append(path, b"first\n")
            await a.has("first")
            # From then on it looks often.
            monkeypatch.setattr(module, "IDLE", 3600.0)
            for n in range(10):
                append(path, b"%d\n" % n)
                await a.has(str(n))


def link(path: Path, target: str) -> None:
    """As `ln -sfn` does it: in one step."""
    new = path.with_name("link.new")
    new.symlink_to(target)
    new.rename(path)


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    return tmp_path / "pods"


def log(pods: Path, uid: str, restarts: int, *texts: str, tag: str = "F") -> Path:
    """Writes lines as a container's runtime does."""
    path = pods / f"shop_web-0_{uid}" / "app" / f"{restarts}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"2026-11-24T11:00:00Z stdout {tag} {text}\n" for text in texts)
    append(path, "".join(lines).encode())
    return path


async def test_a_container_is_followed_through_rotation_restart_and_a_new_pod(
    start: Start, pods: Path
) -> None:
    path = log(pods, "uid-1", 0, "old")
    followed = await start(pods=pods)
    log(pods, "uid-1", 0, "1")
    path.rename(path.with_name("0.log.20261124-110000"))
    log(pods, "uid-1", 0, "2")
    await followed.sees("1", "<rotated>", "2")
    log(pods, "uid-1", 0, "3")
    log(pods, "uid-1", 1, "4")
    await followed.sees("1", "<rotated>", "2", "3", "<rotated>", "4")
    log(pods, "uid-2", 0, "5", "6")
    await followed.sees("1", "<rotated>", "2", "3", "<rotated>", "4", "<rotated>", "5", "6")


async def test_a_pod_that_is_not_there_yet_and_one_that_goes_are_waited_for(
    start: Start, pods: Path
) -> None:
    followed = await start(pods=pods)
    await followed.sees("<waiting>")
    path = log(pods, "uid-1", 0, "1")
    log(pods, "uid-1", 1, "2")
    await followed.sees("<waiting>", "<reading>", "1", "<rotated>", "2")
    shutil.rmtree(path.parents[1])
    await followed.sees("<waiting>", "<reading>", "1", "<rotated>", "2", "<waiting>")
    log(pods, "uid-2", 0, "3")
    seen = ("<waiting>", "<reading>", "1", "<rotated>", "2")
    await followed.sees(*seen, "<waiting>", "<reading>", "<rotated>", "3")


async def test_partial_lines_are_whole_over_a_rotation_and_end_with_their_container(
    start: Start, pods: Path
) -> None:
    path = log(pods, "uid-1", 0, "a", "b", tag="P")
    followed = await start(pods=pods)
    path.rename(path.with_name("0.log.20261124-110000"))
    log(pods, "uid-1", 0, "c")
    await followed.sees("<rotated>", "abc")
    log(pods, "uid-1", 0, "d", tag="P")
    log(pods, "uid-1", 1, "e")
    await followed.sees("<rotated>", "abc", "d", "<rotated>", "e")


async def test_a_file_in_between_is_read_though_the_one_before_it_is_compressed(
    start: Start, pods: Path
) -> None:
    path = log(pods, "uid-1", 0, "1")
    followed = await start(pods=pods)
    # Two rotations between two looks, for nothing is awaited; the first of them is compressed with
    # the second.
    log(pods, "uid-1", 0, "2")
    path.rename(path.with_name("0.log.20261124-110000.gz"))
    log(pods, "uid-1", 0, "3")
    path.rename(path.with_name("0.log.20261124-110010"))
    log(pods, "uid-1", 0, "4")
    await followed.sees("2", "<rotated>", "3", "<rotated>", "4")
