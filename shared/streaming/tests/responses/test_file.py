import errno
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate, parsedate_to_datetime
from mmap import mmap
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from prometheus_client import REGISTRY

from eddyline import testing
from eddyline.connection.sendfile import READ
from eddyline.files.version import FileVersion
from eddyline.responses import file as file_response
from eddyline.responses.file import TAIL, FileResponse
from eddyline.server.intake import PIPELINED
from eddyline.service.app import Context
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.testing import Running, Stream, eventually, request_bytes, running

SIZE = 3 * READ + 12345
#: More than kernel and transport take for a client that does not read.
LARGE = 64 * 1024 * 1024

_opened: list[Stream] = []


async def fetch(url: str, **options: Any) -> Stream:
    stream = await testing.fetch(url, **options)
    _opened.append(stream)
    return stream


@pytest.fixture(autouse=True)
async def streams_are_closed() -> AsyncIterator[None]:
    yield
    while _opened:
        await _opened.pop().close()


@pytest.fixture(autouse=True)
def an_hour_has_passed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """The clock of responses: files that a test has just written are old ones."""
    clock = time.time
    monkeypatch.setattr(file_response, "time", lambda: clock() + 3600)
    return clock


def etag(path: Path) -> str:
    return FileVersion.from_status(path.stat()).etag(time.time() + 3600)


@pytest.fixture(params=["ours", "plain uvicorn"])
def server(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {} if request.param == "ours" else {"http": "httptools"}


@pytest.fixture
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    long_ago = 1_600_000_000
    os.utime(path, (long_ago, long_ago))
    return path


@pytest.fixture
async def run(
    path: Path, server: dict[str, Any], request: pytest.FixtureRequest
) -> AsyncIterator[Running]:
    async with serving(path, request.node.name, server) as run:
        yield run


@asynccontextmanager
async def serving(
    path: Path,
    name: str,
    server: dict[str, Any],
    meanwhile: Callable[[], object] = lambda: None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """`meanwhile` is called when the file is open, and nothing of it is read yet."""
    context = Context.from_settings(Settings(**settings))
    metrics = StreamMetrics(name, "file")
    app = FastAPI()
    app.state.context = context

    @app.api_route("/", methods=["GET", "HEAD"])
    def file() -> FileResponse:
        stream = context.stream(metrics, context.limits.admit(None, None))
        opened = open(path, "rb", buffering=0)  # noqa: SIM115 - the response closes it
        response = FileResponse(opened, stream, media_type="text/plain", headers={"x-more": "yes"})
        meanwhile()
        return response

    async with running(app, **server) as run:
        yield run
    assert context.limits.open == 0


def ended(name: str, reason: str) -> float | None:
    labels = {"service": name, "kind": "file", "reason": reason}
    return REGISTRY.get_sample_value("eddyline_streams_ended_total", labels)


async def test_sends_the_whole_file(run: Running, content: bytes, path: Path) -> None:
    stream = await fetch(run.url)
    assert stream.status == 200
    assert stream.headers["content-length"] == str(SIZE)
    assert stream.headers["content-type"] == "text/plain; charset=utf-8"
    assert stream.headers["accept-ranges"] == "bytes"
    assert stream.headers["etag"] == etag(path)
    assert stream.headers["x-more"] == "yes"
    assert await stream.body() == content
    assert stream.clean


async def test_head_has_the_same_head_and_no_body(run: Running) -> None:
    stream = await fetch(run.url, method="HEAD")
    assert (stream.status, stream.headers["content-length"]) == (200, str(SIZE))
    # A second answer on the same connection: any byte of a body would be in its way.
    stream.writer.write(request_bytes("HEAD", "/", {}))
    await stream.read_head("HEAD")
    assert stream.status == 200


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        (f"{SIZE - 1}-", SIZE - 1, SIZE),
        ("-5", SIZE - 5, SIZE),
        (f"100-{SIZE * 2}", 100, SIZE),
        (f"{TAIL - 1}-{READ + TAIL}", TAIL - 1, READ + TAIL + 1),
        (f"1-{TAIL}", 1, TAIL + 1),
    ],
)
async def test_sends_one_range(
    run: Running, content: bytes, wanted: str, start: int, end: int
) -> None:
    stream = await fetch(run.url, headers={"Range": f"bytes={wanted}"})
    assert stream.status == 206
    assert stream.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert await stream.body() == content[start:end]
    assert stream.clean


async def test_sends_several_ranges(run: Running, content: bytes) -> None:
    wanted = [(0, 10), (5000, 300_000), (SIZE - 7, SIZE)]
    header = ",".join(f"{start}-{end - 1}" for start, end in wanted)
    stream = await fetch(run.url, headers={"Range": f"bytes={header}"})
    assert stream.status == 206
    boundary = stream.headers["content-type"].partition("boundary=")[2]
    body = await stream.body()
    assert stream.clean
    *parts, end_mark = body.split(f"--{boundary}".encode())[1:]
    assert end_mark == b"--"
    for (start, end), part in zip(wanted, parts, strict=True):
        head, _, data = part.partition(b"\r\n\r\n")
        assert f"content-range: bytes {start}-{end - 1}/{SIZE}".encode() in head.lower()
        assert data == content[start:end] + b"\r\n"


async def test_a_head_has_no_ranges(run: Running) -> None:
    """RFC 9110 §14.2."""
    stream = await fetch(run.url, method="HEAD", headers={"Range": "bytes=5-9"})
    assert (stream.status, stream.headers["content-length"]) == (200, str(SIZE))
    assert "content-range" not in stream.headers


async def test_parts_are_in_the_order_of_the_request(run: Running, content: bytes) -> None:
    """RFC 9110 §15.3.7.2."""
    stream = await fetch(run.url, headers={"Range": f"bytes=-5,{READ}-{READ + 9},0-4"})
    body = await stream.body()
    places = [body.index(content[at : at + 5]) for at in (SIZE - 5, READ, 0)]
    assert places == sorted(places)
    assert stream.clean


async def test_preconditions_are_answered_without_the_file(run: Running, path: Path) -> None:
    """RFC 9110 §13.1, and §15.4.5 for the header fields; one connection serves them all."""
    stream = await fetch(run.url)
    await stream.body()
    modified = formatdate(os.stat(path).st_mtime, usegmt=True)
    for method, headers, status in (
        ("GET", {"If-None-Match": etag(path)}, 304),
        ("GET", {"If-Modified-Since": modified}, 304),
        ("HEAD", {"If-None-Match": "*"}, 304),
        ("GET", {"If-Match": '"another"'}, 412),
        ("GET", {"If-Match": '"another"', "Range": "bytes=0-9"}, 412),
        ("GET", {"If-Unmodified-Since": formatdate(0, usegmt=True)}, 412),
        ("HEAD", {"If-Match": '"another"'}, 412),
        ("GET", {"If-Match": etag(path)}, 200),
    ):
        stream.writer.write(request_bytes(method, "/", headers))
        await stream.read_head("HEAD" if status == 304 else method)
        assert stream.status == status
        assert stream.headers["etag"] == etag(path)
        assert stream.headers["x-more"] == "yes"
        if status == 412:
            assert stream.headers["content-length"] == "0"
        if status != 200:
            assert "content-type" not in stream.headers
    assert len(await stream.body()) == SIZE


async def test_ranges_outside_the_file_are_left_out_beside_one_inside(
    run: Running, content: bytes
) -> None:
    stream = await fetch(run.url, headers={"Range": f"bytes={SIZE}-,5-9"})
    assert (stream.status, stream.headers["content-range"]) == (206, f"bytes 5-9/{SIZE}")
    assert await stream.body() == content[5:10]


async def test_a_range_outside_the_file_is_416(run: Running) -> None:
    stream = await fetch(run.url, headers={"Range": f"bytes={SIZE}-"})
    assert (stream.status, stream.headers["content-range"]) == (416, f"bytes */{SIZE}")
    assert (stream.headers["accept-ranges"], stream.headers["content-length"]) == ("bytes", "0")
    assert await stream.body() == b""


@pytest.mark.parametrize("header", ["bytes=9-3", "lines=1-2", "bytes", "bytes=x-y", "bytes=-"])
async def test_a_range_that_is_not_understood_is_ignored(run: Running, header: str) -> None:
    stream = await fetch(run.url, headers={"Range": header})
    assert stream.status == 200
    assert len(await stream.body()) == SIZE


async def test_if_range_takes_the_strong_tag_or_the_date_of_this_version(
    run: Running, path: Path, monkeypatch: pytest.MonkeyPatch, an_hour_has_passed: Any
) -> None:
    async def status(validator: str) -> int:
        headers = {"Range": "bytes=0-0", "If-Range": validator}
        stream = await fetch(run.url, headers=headers)
        return stream.status

    assert await status(etag(path)) == 206
    assert await status('"another"') == 200
    assert await status(f"W/{etag(path)}") == 200
    assert await status("yesterday") == 200
    assert await status(f"Wed, 01 Jan {'9' * 20} 00:00:00 GMT") == 200
    # A copy may have the same date.
    assert await status(formatdate(os.stat(path).st_mtime, usegmt=True)) == 200
    os.utime(path)
    assert await status(formatdate(os.stat(path).st_ctime, usegmt=True)) == 206
    # Just written: the same tag, or date, would stand for the bytes of a moment ago.
    monkeypatch.setattr(file_response, "time", an_hour_has_passed)
    os.utime(path)
    fresh = await fetch(run.url)
    assert fresh.headers["etag"].startswith("W/")
    assert "last-modified" not in fresh.headers
    assert await status(fresh.headers["etag"]) == 200
    assert await status(formatdate(os.stat(path).st_mtime, usegmt=True)) == 200


@pytest.fixture
def any_date() -> Iterator[Path]:
    """A file in memory: on disk many file systems hold no date after the year 2446."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path = Path(folder, "file")
        path.write_bytes(b"content")
        yield path


@pytest.mark.parametrize("seconds", [253_402_300_800, 2**40, 2**32, 0, -(2**40)])
async def test_a_date_of_the_future_or_of_no_time_is_not_told(
    any_date: Path, server: dict[str, Any], request: pytest.FixtureRequest, seconds: int
) -> None:
    os.utime(any_date, (seconds, seconds))
    if os.stat(any_date).st_mtime != seconds:
        pytest.skip(f"{any_date} can't have that date: give --basetemp on xfs or tmpfs")
    async with serving(any_date, request.node.name, server) as run:
        stream = await fetch(run.url)
        assert (stream.status, await stream.body()) == (200, b"content")
        told = parsedate_to_datetime(stream.headers.get("last-modified", formatdate(0)))
        assert 0 <= told.timestamp() <= time.time() + 3600
        headers = {"Range": "bytes=0-0", "If-Range": "Fri, 31 Dec 9999 23:59:59 GMT"}
        assert (await fetch(run.url, headers=headers)).status == 200
        headers = {"Range": "bytes=0-0", "If-Range": stream.headers["etag"]}
        assert (await fetch(run.url, headers=headers)).status == 206


@pytest.mark.parametrize("size", [TAIL, SIZE])
async def test_tasks_in_the_background_run_after_the_file_is_sent(path: Path, size: int) -> None:
    os.truncate(path, size)
    done: list[bool] = []
    app = FastAPI()
    app.state.context = Context.from_settings(Settings())

    @app.get("/")
    def file(background: BackgroundTasks) -> FileResponse:
        background.add_task(done.append, True)
        return FileResponse(path)

    async with running(app) as run:
        await (await fetch(run.url)).body()
        await eventually(lambda: done == [True])


def test_a_response_that_cannot_be_made_closes_its_file(path: Path) -> None:
    context = Context.from_settings(Settings())
    file = open(path, "rb", buffering=0)  # noqa: SIM115 - the response closes it
    with context.limits.admit() as permit:
        stream = context.stream(StreamMetrics("unmade", "file"), permit)
        with pytest.raises(UnicodeEncodeError):
            FileResponse(file, stream, media_type="text/plain", headers={"x": "\u20ac"})
    assert file.closed
    assert context.limits.open == 0


async def test_the_connection_is_used_again(run: Running, content: bytes) -> None:
    stream = await fetch(run.url)
    for wanted in ("0-99", f"0-{SIZE - 1}", "7-7", f"5-{READ * 2}"):
        assert await stream.body()
        stream.writer.write(request_bytes("GET", "/", {"Range": f"bytes={wanted}"}))
        await stream.read_head("GET")
        assert stream.status == 206
    assert await stream.body() == content[5 : READ * 2 + 1]


async def test_requests_that_wait_behind_a_large_file(run: Running, content: bytes) -> None:
    """The server has parsed them while the file is sent; they must not be taken for its own."""
    stream = await fetch(run.url, receive_buffer=8192)
    stream.writer.write(request_bytes("GET", "/", {}) * 3)
    assert await stream.body() == content
    for _ in range(3):
        await stream.read_head("GET")
        assert await stream.body() == content


async def test_an_empty_file(run: Running, path: Path) -> None:
    os.truncate(path, 0)
    stream = await fetch(run.url)
    assert (stream.status, stream.headers["content-length"]) == (200, "0")
    assert await stream.body() == b""


async def test_counts_what_was_sent(run: Running, request: pytest.FixtureRequest) -> None:
    stream = await fetch(run.url)
    await stream.body()
    name = request.node.name
    await eventually(lambda: ended(name, "complete") == 1)
    labels = {"service": name, "kind": "file"}
    assert REGISTRY.get_sample_value("eddyline_sent_bytes_total", labels) == SIZE


async def test_a_file_that_is_truncated_while_it_is_sent_ends_the_connection(
    run: Running, path: Path, request: pytest.FixtureRequest
) -> None:
    os.truncate(path, LARGE)
    stream = await fetch(run.url, receive_buffer=8192)
    await stream.read()
    os.truncate(path, LARGE // 2)
    await stream.body()
    assert stream.clean is False
    await eventually(lambda: ended(request.node.name, "failed") == 1)


async def test_a_file_that_is_written_to_while_it_is_sent_ends_the_connection(
    run: Running, path: Path, request: pytest.FixtureRequest
) -> None:
    os.truncate(path, LARGE)
    stream = await fetch(run.url, receive_buffer=8192)
    await stream.read()
    overwrite_end(path)
    await stream.body()
    assert stream.clean is False
    await eventually(lambda: ended(request.node.name, "failed") == 1)


def rewrite_and_keep_times(path: Path) -> None:
    """As `cp -p` does in builds that set all times to SOURCE_DATE_EPOCH."""
    status = path.stat()
    with open(path, "r+b") as file:
        for _ in range(LARGE // READ):
            file.write(b"B" * READ)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def copy_over(path: Path) -> None:
    """As `cp` does with a file that is longer."""
    with open(path, "wb") as file:
        for _ in range(LARGE // READ + 1):
            file.write(b"B" * READ)


def write_by_mmap(path: Path) -> None:
    with open(path, "r+b") as file, mmap(file.fileno(), 0) as memory:
        memory[-READ:] = b"B" * READ


@pytest.mark.parametrize("change", [rewrite_and_keep_times, copy_over, write_by_mmap])
async def test_bytes_of_two_versions_never_end_as_a_whole_body(
    run: Running, path: Path, request: pytest.FixtureRequest, change: Callable[[Path], None]
) -> None:
    os.truncate(path, LARGE)
    stream = await fetch(run.url, receive_buffer=8192)
    await stream.read()
    change(path)
    await stream.body()
    assert stream.clean is False
    await eventually(lambda: ended(request.node.name, "failed") == 1)


async def test_a_write_to_bytes_that_wait_in_the_socket_ends_the_connection(
    run: Running, path: Path, request: pytest.FixtureRequest
) -> None:
    """The kernel sends the pages of the file, not a copy of them as they were."""
    size = 2 * READ
    path.write_bytes(b"A" * size)
    stream = await fetch(run.url, receive_buffer=8192)
    labels = {"service": request.node.name, "kind": "file"}

    def sent() -> float:
        return REGISTRY.get_sample_value("eddyline_sent_bytes_total", labels) or 0

    await eventually(lambda: sent() >= size - TAIL)
    with path.open("r+b") as file:
        file.write(b"B" * size)
    body = await stream.body()
    assert not stream.clean or set(body) == {ord("A")}


async def test_a_file_that_grows_is_sent_as_long_as_it_was(run: Running, path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(LARGE)
        file.seek(LARGE - READ)
        file.write(os.urandom(READ))
    content = path.read_bytes()
    with path.open("ab", buffering=0) as file:
        file.write(b"more")
        stream = await fetch(run.url, receive_buffer=8192)
        assert stream.headers["content-length"] == str(LARGE + 4)
        body = bytearray()
        while len(body) < LARGE + 4:
            body += await stream.read()
            file.write(b"more")
    assert bytes(body) == content + b"more"
    await stream.body()
    assert stream.clean


@pytest.mark.parametrize("renamed", [True, False], ids=["rename", "in place"])
async def test_a_resumed_download_never_goes_on_in_another_version(
    run: Running, path: Path, renamed: bool
) -> None:
    """The other version has the same size and time."""
    first = await fetch(run.url, headers={"Range": "bytes=0-9"})
    tag, date = first.headers["etag"], first.headers["last-modified"]
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    written = path.with_name("other") if renamed else path
    written.write_bytes(os.urandom(SIZE))
    os.utime(written, ns=times)
    written.replace(path)
    for headers, status in (
        ({"If-Range": tag}, 200),
        ({"If-Range": date}, 200),
        ({"If-Match": tag}, 412),
        ({"If-Unmodified-Since": date}, 200),
    ):
        stream = await fetch(run.url, headers={**headers, "Range": "bytes=10-"})
        assert stream.status == status
        assert stream.headers["etag"] != tag


async def test_a_file_that_is_replaced_while_it_is_sent_goes_on_as_it_was(
    run: Running, path: Path, tmp_path: Path
) -> None:
    os.truncate(path, LARGE)
    stream = await fetch(run.url, receive_buffer=8192)
    first = await stream.read()
    other = tmp_path / "other"
    other.write_bytes(b"new")
    other.replace(path)
    assert len(first) + len(await stream.body()) == LARGE
    assert stream.clean


async def test_the_file_is_closed_when_the_client_leaves(
    run: Running, path: Path, request: pytest.FixtureRequest
) -> None:
    os.truncate(path, LARGE)
    stream = await fetch(run.url, receive_buffer=8192)
    await stream.read()
    assert path in open_files()
    stream.reset()
    await eventually(lambda: ended(request.node.name, "client_closed") == 1)
    await eventually(lambda: path not in open_files())


async def test_a_client_that_stalls_is_cut_off(
    path: Path, server: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    os.truncate(path, LARGE)
    name = request.node.name
    async with serving(path, name, server, write_timeout=0.3) as run:
        stream = await fetch(run.url, receive_buffer=8192)
        await eventually(lambda: ended(name, "stalled") == 1)
        await stream.body()
        assert stream.clean is False


async def test_the_drain_cuts_it_at_the_deadline(
    path: Path, server: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    os.truncate(path, LARGE)
    name = request.node.name
    async with serving(path, name, server, drain_window=0.1) as run:
        stream = await fetch(run.url, receive_buffer=8192)
        await run.app.state.context.drain.run()
        assert ended(name, "drain") == 1
        await stream.body()
        assert stream.clean is False


@pytest.fixture
def small(path: Path) -> bytes:
    """The content of the largest file that is still a small one."""
    content = os.urandom(TAIL)
    path.write_bytes(content)
    return content


async def test_a_small_file_whole_and_in_parts(
    run: Running, small: bytes, path: Path, request: pytest.FixtureRequest
) -> None:
    stream = await fetch(run.url)
    tag = etag(path)
    assert (stream.status, stream.headers["content-length"]) == (200, str(TAIL))
    assert (stream.headers["etag"], stream.headers["x-more"]) == (tag, "yes")
    assert await stream.body() == small
    for method, headers, status, body in (
        ("HEAD", {}, 200, b""),
        ("GET", {"Range": "bytes=5-9"}, 206, small[5:10]),
        ("GET", {"Range": "bytes=5-9", "If-Range": tag}, 206, small[5:10]),
        ("GET", {"Range": "bytes=5-9", "If-Range": '"other"'}, 200, small),
        ("GET", {"Range": f"bytes={TAIL}-"}, 416, b""),
        ("GET", {}, 200, small),
    ):
        stream.writer.write(request_bytes(method, "/", headers))
        await stream.read_head(method)
        assert stream.status == status
        if method == "GET":
            assert await stream.body() == body
    name = request.node.name
    await eventually(lambda: ended(name, "complete") == 7)
    labels = {"service": name, "kind": "file"}
    sent = REGISTRY.get_sample_value("eddyline_sent_bytes_total", labels)
    assert sent is not None
    assert sent >= 3 * TAIL + 10
    assert REGISTRY.get_sample_value("eddyline_streams_open", labels) == 0
    assert path not in open_files()


def reads_without_waiting(path: Path) -> bool:
    """Whether the file system here can: overlayfs and tmpfs cannot."""
    with open(path, "rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except OSError:
            return False


async def test_a_small_file_needs_neither_task_nor_thread(
    path: Path, small: bytes, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if not reads_without_waiting(path):
        # All but the kernel's part can still be tested: this plays a file system that can.
        preadv = os.preadv
        monkeypatch.setattr(os, "preadv", lambda file, data, at, _: preadv(file, data, at))
    monkeypatch.setattr(file_response, "ByteStream", None)
    async with serving(path, request.node.name, {}) as run:
        assert await (await fetch(run.url)).body() == small
        os.truncate(path, LARGE)
        part = await fetch(run.url, headers={"Range": f"bytes=10-{TAIL}"})
        assert (part.status, await part.body()) == (206, (small + bytes(1))[10:])
        assert (await fetch(run.url, method="HEAD")).headers["content-length"] == str(LARGE)
        assert (await fetch(run.url, headers={"If-None-Match": "*"}, method="HEAD")).status == 304


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP])
async def test_a_small_file_that_is_not_in_the_page_cache_or_whose_file_system_cannot_tell(
    run: Running, small: bytes, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "preadv", refuse)
    assert await (await fetch(run.url)).body() == small


async def test_small_files_to_a_client_that_does_not_wait(run: Running, small: bytes) -> None:
    """Answers stay in order, and none overtakes bytes that a slow reader has not taken yet."""
    stream = await fetch(run.url, receive_buffer=8192)
    stream.writer.write(request_bytes("GET", "/", {}) * PIPELINED)
    assert await stream.body() == small
    for _ in range(PIPELINED):
        await stream.read_head("GET")
        assert await stream.body() == small


@pytest.mark.parametrize("size", [TAIL // 2, TAIL + 1, TAIL])
async def test_a_file_that_is_written_to_after_it_was_opened_is_sent_as_it_is_then(
    path: Path,
    server: dict[str, Any],
    small: bytes,
    size: int,
    request: pytest.FixtureRequest,
) -> None:
    """The head describes the bytes that follow it."""

    def write() -> None:
        path.write_bytes(bytes(size))
        os.utime(path)

    async with serving(path, request.node.name, server, write) as run:
        stream = await fetch(run.url)
        assert (stream.headers["content-length"], stream.headers["etag"]) == (str(size), etag(path))
        assert await stream.body() == bytes(size)
        assert stream.clean


async def test_a_small_file_that_is_replaced_after_it_was_opened_is_sent_as_it_was(
    path: Path, server: dict[str, Any], small: bytes, request: pytest.FixtureRequest
) -> None:
    def replace() -> None:
        other = path.with_name("other")
        other.write_bytes(b"new")
        other.replace(path)

    async with serving(path, request.node.name, server, replace) as run:
        stream = await fetch(run.url)
        assert stream.headers["content-length"] == str(TAIL)
        assert await stream.body() == small
        assert stream.clean


def overwrite_end(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(LARGE - 1)
        file.write(b"x")


def open_files() -> set[Path]:
    folder = Path("/proc/self/fd")
    return {link.resolve() for link in folder.iterdir() if link.is_symlink()}
