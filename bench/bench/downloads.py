"""Measures file servers: a large file, small files, many clients, the kinds of response."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import procfs
from bench.rivals import NGINX, config, nginx_missing
from bench.servers import FileServer, Running, ours, output_of, packages, serve, uvicorn
from bench.tools import BenchError, Load, request

LARGE, SMALL, SPARSE = "large.bin", "small.bin", "sparse.bin"
PIECE = 1 << 20
MOST_SECONDS = 180.0  # for one response; the lesson's generator takes half a minute for 1 GiB


@dataclass(frozen=True)
class Download:
    """One client fetching the large file, from the page cache; it discards the bytes."""

    server: str
    size: int
    seconds: float
    cpu_seconds: float
    first_byte_seconds: float
    peak_bytes: int  # the most the server's processes held
    growth_bytes: int  # the same, less those held before


@dataclass(frozen=True)
class SmallFiles:
    """Requests a second for a small file over keep-alive connections."""

    server: str
    size: int
    per_second: float
    cpu_us: float  # the server's, per request


@dataclass(frozen=True)
class Crowd:
    """Many clients at once in downloads of files too large to be held."""

    server: str
    clients: int
    growth_bytes: int  # of the whole process, at its peak
    bytes_per_second: float


def make_files(folder: Path, size: int) -> Path:
    """The files to be sent, made once: text without line ends, which may stand in SSE too."""
    folder.mkdir(parents=True, exist_ok=True)
    piece = bytes(range(48, 112)) * (PIECE // 64)
    large = folder / LARGE
    if not large.exists() or large.stat().st_size != size:
        with large.open("wb") as file:
            for _ in range(size // PIECE):
                file.write(piece)
    (folder / SMALL).write_bytes(piece[:16384])
    with (folder / SPARSE).open("wb") as file:
        file.truncate(10 << 30)
    return folder.resolve()


def warm_page_cache(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(PIECE):
            pass


def _python(name: str, kind: str, files: Path) -> FileServer:
    return FileServer(
        name=name,
        command=uvicorn("bench.rivals_downloads:app"),
        version=packages("starlette", "uvicorn"),
        environment={"BENCH_FILES": str(files)},
        path=f"/{kind}/",
        sized=kind in ("memory", "file"),
    )


def ours_at(files: Path) -> FileServer:
    return FileServer(
        name="ours",
        command=ours("eddyline_downloads.app:app"),
        version=packages("eddyline-downloads", "eddyline", "uvicorn"),
        environment={
            "DOWNLOADS_STORE": f"file://{files}",
            "EDDYLINE_AUTH": "off",
            "EDDYLINE_LIMIT_STREAMS": "0",
            "EDDYLINE_LIMIT_STREAMS_PER_ADDRESS": "0",
        },
        path="/download/",
    )


def file_servers(files: Path) -> Sequence[FileServer]:
    """The download table's, in its order."""
    nginx = FileServer(
        name="nginx",
        command=config("nginx.conf", files=files),
        version=lambda: output_of(str(NGINX), "-v").rpartition(": ")[2],
        how_to_get="apt-get install nginx-light",
        missing=nginx_missing(),
    )
    return (
        ours_at(files),
        nginx,
        _python("FileResponse", "file", files),
        _python("8 KiB generator", "generator", files),
    )


def kinds(files: Path) -> Sequence[FileServer]:
    """The lesson's table of response types, and ours."""
    return (
        _python("JSON in memory", "memory", files),
        _python("FileResponse", "file", files),
        _python("StreamingResponse, 8 KiB generator", "generator", files),
        _python("SSE, 8 KiB events", "sse", files),
        ours_at(files),
    )


def _fetch(
    program: Path, mode: str, running: Running, path: str, clients: int, seconds: float
) -> dict[str, Any]:
    headers = ("Connection: close",) if mode == "get" else ()
    options = ("--connections", str(clients), "--seconds", str(seconds))
    with Load(
        program, mode, running.port, "--subscribe", request(f"GET {path}", headers), *options
    ) as load:
        result = load.report(seconds + 20)
    if result["failed"]:
        raise BenchError(f"GET {path}: {result['failure']!r}")
    return result


def _warm_up(program: Path, server: FileServer, running: Running) -> None:
    _fetch(program, "get", running, server.path + SMALL, 1, 10)
    time.sleep(0.2)
    procfs.forget_peak(running.pids())


def download(program: Path, server: FileServer, files: Path) -> Download:
    size = (files / LARGE).stat().st_size
    warm_page_cache(files / LARGE)
    with serve(server) as running:
        _warm_up(program, server, running)
        before, cpu = running.peak_memory(), running.cpu()
        result = _fetch(program, "get", running, server.path + LARGE, 1, MOST_SECONDS)
        used, peak = running.cpu() - cpu, running.peak_memory()
    if result["ended"] != 1 or result["bytes"] < size:
        raise BenchError(f"{server.name} sent {result['bytes']} of {size} bytes")
    return Download(
        server=server.name,
        size=size,
        seconds=result["seconds"],
        cpu_seconds=used,
        first_byte_seconds=result["first_byte"],
        peak_bytes=peak,
        growth_bytes=peak - before,
    )


def small_files(program: Path, server: FileServer, files: Path, seconds: float) -> SmallFiles:
    with serve(server) as running:
        _warm_up(program, server, running)
        cpu = running.cpu()
        result = _fetch(program, "requests", running, server.path + SMALL, 32, seconds)
        used = running.cpu() - cpu
    if not result["requests"]:
        raise BenchError(f"{server.name} answered no request")
    return SmallFiles(
        server=server.name,
        size=(files / SMALL).stat().st_size,
        per_second=result["requests"] / result["seconds"],
        cpu_us=used * 1e6 / result["requests"],
    )


def crowd(program: Path, server: FileServer, clients: int, seconds: float) -> Crowd:
    with serve(server) as running:
        _warm_up(program, server, running)
        before = running.peak_memory()
        result = _fetch(program, "get", running, server.path + SPARSE, clients, seconds)
        grown = running.peak_memory() - before
    if result["opened"] < clients:
        raise BenchError(f"{server.name} answered {result['opened']} of {clients} clients")
    return Crowd(server.name, clients, grown, result["bytes"] / result["seconds"])
