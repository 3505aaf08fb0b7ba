"""Compressed files read at any offset, as if they were not."""

import gzip
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from eddyline_logs.files.base import HEAD, File, is_copy
from eddyline_logs.files.compressed import KINDS, CompressedFile

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: 2 MB that shrink, each line of them another.
DATA = b"".join(b"%09d\n" % n for n in range(200_000))

COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd.compress}


@contextmanager
def packed(path: Path, data: bytes) -> Iterator[CompressedFile]:
    path.write_bytes(data)
    with closing(CompressedFile(os.open(path, os.O_RDONLY), KINDS[path.suffix])) as file:
        yield file


@pytest.mark.parametrize("suffix", KINDS)
def test_any_range_is_that_of_the_bytes_that_were_compressed(tmp_path: Path, suffix: str) -> None:
    pick = random.Random(1)
    with packed(tmp_path / f"a{suffix}", COMPRESS[suffix](DATA)) as file:
        ranges = [(pick.randrange(100_000), pick.randrange(len(DATA) + 10)) for _ in range(20)]
        for size, offset in [(HEAD, 0), (len(DATA) + 1, 0), *ranges]:
            assert file.pread(size, offset) == DATA[offset : offset + size]
        assert (file.end(), file.lost) == (None, None)


@pytest.mark.parametrize("suffix", KINDS)
def test_members_follow_one_another(tmp_path: Path, suffix: str) -> None:
    # RFC 1952 section 2.2, RFC 8878 section 3: a file is a series of members, or frames.
    compress = COMPRESS[suffix]
    parts = compress(b"one\n") + compress(b"") + compress(b"two\n")
    with packed(tmp_path / f"a{suffix}", parts) as file:
        assert file.pread(100, 0) == b"one\ntwo\n"
        assert file.lost is None


@pytest.mark.parametrize("suffix", KINDS)
def test_a_damaged_file_has_what_comes_before_and_says_so(tmp_path: Path, suffix: str) -> None:
    whole = COMPRESS[suffix](random.Random(1).randbytes(1_000_000))
    for damaged in (whole[:-100_000], whole[:100_000] + b"no", b"no"):
        with packed(tmp_path / f"a{suffix}", damaged) as file:
            read = len(file.pread(1_000_000, 0))
            assert read < 1_000_000
            assert file.lost is not None
            assert file.lost.reason == "damaged"


def test_a_client_that_reads_page_after_page_does_not_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "a.gz", [0]
    with packed(path, gzip.compress(DATA)) as file:
        file.pread(10, 0)
    pread = os.pread

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        data = pread(descriptor, size, offset)
        read[0] += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    got = b""
    while len(got) < len(DATA):
        with closing(CompressedFile(os.open(path, os.O_RDONLY), KINDS[".gz"])) as file:
            got += file.pread(50_000, len(got))
    assert got == DATA
    assert read[0] < 1.5 * path.stat().st_size


def test_a_plain_file_is_known_in_its_compressed_copy(tmp_path: Path) -> None:
    plain = tmp_path / "a"
    plain.write_bytes(DATA)
    for data, same in ((DATA, True), (DATA[:-1] + b"x", False), (DATA[:1000], False)):
        with (
            closing(File(os.open(plain, os.O_RDONLY))) as file,
            packed(tmp_path / "b.gz", gzip.compress(data)) as copy,
        ):
            assert is_copy(file, copy) is same
