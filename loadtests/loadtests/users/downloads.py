"""Downloads: whole, in ranges, and in two parts, each byte as it was when it was first read."""

import random
import zlib
from typing import ClassVar
from urllib.parse import quote

import gevent
from locust import task

from loadtests.stream_user import Stream, StreamUser, Unexpected

#: Bytes that have one checksum.
BLOCK = 65536

#: Ranges that are asked for: few enough that most are asked for again.
RANGES = 64


class Blocks:
    """The checksums of a file, by its ETag. The first reader's checksum is right until another
    reader gets a different one.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, int, int], int] = {}

    def check(self, path: str, etag: str, start: int, data: bytes) -> None:
        """`data` is a block, from `start` on; raises Unexpected."""
        got = zlib.crc32(data)
        if self._sums.setdefault((path, etag, start, len(data)), got) != got:
            where = f"bytes {start} to {start + len(data) - 1} of {path}"
            raise Unexpected(f"{where}: not the checksum that they had before")


class Downloader(StreamUser):
    kind = "downloads"
    knob = "downloaders"
    #: Of all users of a process.
    blocks: ClassVar[Blocks] = Blocks()

    def wait_time(self) -> float:
        return random.uniform(0.5, 1.5) * float(self.knobs.think)

    @task
    def whole(self) -> None:
        self._get(self.knobs.file)

    @task
    def in_two_parts(self) -> None:
        """Drops it somewhere, and goes on where it was."""
        self._get(self.knobs.file, drop_after=random.randrange(1, 2 * 1024 * 1024))
        if self._etag and 0 < self._at < self._size:
            self.count.reconnects += 1
            self._get(self.knobs.file, start=self._at, if_range=self._etag)

    @task
    def range(self) -> None:
        size = self.knobs.range_bytes
        start = random.randrange(RANGES) * size
        self._get(self.knobs.range_file, start=start, end=start + size)

    def _get(
        self,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        if_range: str = "",
        drop_after: int | None = None,
    ) -> None:
        headers = {}
        if start or end:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if if_range:
            headers["If-Range"] = if_range
        else:
            self._rest = b""
        self._path, self._at, self._drop_after = path, start, drop_after
        self._etag, self._size, self._if_range = "", 0, if_range
        self._expected = 206 if headers else 200
        self.read(f"/download/{quote(path)}", self.consume, headers=headers, due=self.knobs.stall)

    def consume(self, stream: Stream) -> None:
        if stream.status == 200 and self._may_begin_anew(stream.headers.get("etag", "")):
            self._expected, self._at, self._rest = 200, 0, b""
        if stream.status != self._expected:
            raise Unexpected(f"status {stream.status} in place of {self._expected}")
        self._etag = stream.headers.get("etag", "")
        self._size = self._at + int(stream.headers["content-length"])
        if self._expected == 206:
            self._check_range(stream.headers.get("content-range", ""))
        for data in stream:
            self._take(data)
            if self._drop_after is not None and self._at > self._drop_after:
                return
            gevent.sleep(0)
        if self._rest:
            self._check(self._at - len(self._rest), self._rest)
        self.count.received += 1

    def _may_begin_anew(self, etag: str) -> bool:
        """Whether the whole is a right answer to `If-Range`: another replica's copy has another
        tag, and a weak tag names no version.
        """
        return bool(self._if_range) and (etag != self._if_range or etag.startswith("W/"))

    def _check_range(self, text: str) -> None:
        if not text.startswith(f"bytes {self._at}-"):
            raise Unexpected("a Content-Range of other bytes than were asked for")

    def _take(self, data: bytes) -> None:
        self._rest += data
        self._at += len(data)
        while len(self._rest) >= BLOCK:
            self._check(self._at - len(self._rest), self._rest[:BLOCK])
            self._rest = self._rest[BLOCK:]

    def _check(self, start: int, block: bytes) -> None:
        self.blocks.check(self._path, self._etag, start, block)
