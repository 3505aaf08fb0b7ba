"""The programs that the bench builds with cc, and the load client driven over its pipes."""

import json
import os
import resource
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
MARKER = "~bench.TTTTTTTTTTTTTTTTTTT.SSSSSSSS~"  # load.c writes the due time and the number here


class BenchError(Exception):
    """A measurement that could not be made; the text says why."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def build(name: str, folder: Path) -> Path:
    """Compiles NAME.c of this package into the folder, unless the program there is newer."""
    source, program = HERE / f"{name}.c", folder / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise BenchError("no C compiler found: apt-get install gcc libc6-dev")
    folder.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-O2", "-Wall", "-pthread", "-o", str(program), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{source.name} did not compile: {done.stderr}")
    return program


def cores() -> tuple[set[int], set[int]]:
    """The server's core and the clients'; where there is but one, they share it."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[0]}, set(mine[1:]) or {mine[0]}


def own_core(server: bool) -> Callable[[], None]:
    """A child's steps before it is the program: it takes its core, and as many files as it may."""

    def prepare() -> None:
        os.sched_setaffinity(0, cores()[0 if server else 1])
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    return prepare


class Load:
    """A run of load.c: each `report()` is the end of a phase, `go()` starts the next."""

    def __init__(self, program: Path, mode: str, port: int, *options: str) -> None:
        self._command = [str(program), mode, "--port", str(port), *options]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches us first, and we stop it
            preexec_fn=own_core(server=False),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def go(self) -> None:
        assert self._process.stdin
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def report(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise BenchError(f"the load client said nothing for {seconds:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate()
            raise BenchError(f"the load client ended: {errors.decode().strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def request(line: str, headers: Sequence[str] = (), body: str = "") -> str:
    """A whole HTTP/1.1 request as text."""
    head = [f"{line} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head) + "\r\n\r\n" + body


def event_data(size: int) -> str:
    """The data of one event: the marker, then filling up to `size` bytes."""
    return MARKER + "x" * (size - len(MARKER))
