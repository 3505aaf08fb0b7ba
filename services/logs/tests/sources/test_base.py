"""The contract of a source and of its chain of files, for each of them."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from eddyline.journal.memory import MemoryJournal
from eddyline.testing import eventually
from eddyline.wire.sse import Parser
from eddyline_logs.files.base import File
from eddyline_logs.reading import tail as module
from eddyline_logs.reading.tail import Tail
from eddyline_logs.sources.base import Source
from eddyline_logs.sources.memory import MemorySource
from eddyline_logs.sources.pods import ContainerChain
from eddyline_logs.sources.registry import Sources


class Writer(Protocol):
    """The program whose log a source is."""

    source: Source

    def line(self, text: str) -> None:
        """Appends a line to the newest file, which is made where there is none."""

    def rotate(self) -> None:
        """The next line goes to another file."""


class FileWriter:
    def __init__(self, folder: Path) -> None:
        self.source = Sources.parse(str(folder)).find("app.log")
        self.path = folder / "app.log"

    def line(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text + "\n")

    def rotate(self) -> None:
        self.path.rename(self.path.with_name("app.log.1"))


class ContainerWriter:
    def __init__(self, folder: Path) -> None:
        self.source = Sources.parse(f"pods=cri:{folder}").find("pods/shop/web-0/app")
        self.path = folder / "shop_web-0_uid-1" / "app" / "0.log"

    def line(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(f"2026-11-24T11:00:00Z stdout F {text}\n")

    def rotate(self) -> None:
        self.path.rename(self.path.with_name("0.log.20261124-110000"))


class MemoryWriter:
    def __init__(self) -> None:
        self.source = MemorySource("memory")

    def line(self, text: str) -> None:
        self.source.append(text.encode() + b"\n")

    def rotate(self) -> None:
        self.source.rotate()


@pytest.fixture(params=["file", "container", "memory"])
def writer(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Writer]:
    monkeypatch.setattr(ContainerChain, "interval", 0.01)
    monkeypatch.setattr(module, "POLL", 0.01)
    before = len(os.listdir("/proc/self/fd"))
    if request.param == "memory":
        memory = MemoryWriter()
        with closing(memory.source):
            yield memory
    else:
        yield (FileWriter if request.param == "file" else ContainerWriter)(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def content(file: File) -> bytes:
    """All of a file; closes it."""
    with closing(file):
        return file.pread(1 << 16, 0)


def test_a_source_without_a_file_is_not_there(writer: Writer) -> None:
    assert not writer.source.exists()
    for take in (writer.source.open, lambda: writer.source.chain(1000).first()):
        with pytest.raises(FileNotFoundError):
            take()


def test_each_caller_has_a_descriptor_of_its_own(writer: Writer) -> None:
    writer.line("one")
    assert writer.source.exists()
    assert writer.source.taken()
    for _ in range(2):
        assert content(writer.source.open()).endswith(b"one\n")


def test_a_chain_stays_at_the_file_that_is_written_to(writer: Writer) -> None:
    chain = writer.source.chain(1000)
    writer.line("one")
    file = chain.first()
    assert chain.next(file) is None
    writer.line("two")
    assert chain.next(file) is None
    assert content(file).endswith(b"two\n")


def test_a_chain_goes_on_with_the_file_that_follows(writer: Writer) -> None:
    chain = writer.source.chain(1000)
    writer.line("one")
    first = chain.first()
    writer.rotate()
    writer.line("two")
    following = chain.next(first)
    assert following is not None
    assert content(first).endswith(b"one\n")
    assert chain.next(following) is None
    assert content(following).endswith(b"two\n")


def test_a_chain_has_all_of_its_files_the_newest_first(writer: Writer) -> None:
    chain = writer.source.chain(1000)
    assert list(chain.files()) == []
    writer.line("one")
    writer.rotate()
    writer.line("two")
    assert [content(file)[-4:] for file in chain.files()] == [b"two\n", b"one\n"]


async def test_a_tail_reads_every_line_over_a_rotation(writer: Writer) -> None:
    journal = MemoryJournal()
    tail = Tail(writer.source, journal, 1000)
    running = asyncio.create_task(tail.run())
    try:
        for number in range(3):
            writer.line(f"{number}")
        await has_read(journal, ["0", "1", "2"])
        writer.rotate()
        writer.line("3")
        await has_read(journal, ["0", "1", "2", "3"])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        tail.close()


async def has_read(journal: MemoryJournal, lines: list[str]) -> None:
    async def are_read() -> bool:
        page = await journal.read(None, 100)
        events = [event for entry in page.entries for event in Parser().feed(entry.frame)]
        return [json.loads(e.data)["line"] for e in events if e.event == "message"] == lines

    await eventually(are_read)
