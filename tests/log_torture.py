"""Numbered lines into one log that is rotated in every way, and followers that drop and come back
while the processes are stopped and killed: none is lost, repeated or out of order, but for a gap.

`make chaos` runs this as a program, for minutes and with a report; test_log_torture.py for seconds.
"""

import argparse

# sleep: faults last for a time, and clients come at a pace, in this program that makes faults.
import asyncio
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from log_writer import LINE, LOGROTATE, WAYS

from eddyline.testing import eventually, fetch, free_port

#: Seconds in which all followers must have the last line once the faults are over.
SETTLE = 60.0

#: Bytes a second of a slow reader.
SLOW = 1000

VARIABLES = {"EDDYLINE_AUTH": "off", "EDDYLINE_LOG_LEVEL": "warning", "EDDYLINE_DRAIN_WINDOW": "1"}

#: The fields in the order in which `sse.encode` writes them.
_EVENT = re.compile(rb"(?:event: (\S+)\n)?(?:id: (\S+)\n)?(?:retry: \d+\n)?(?:data: (.*)\n)?\n")
_NUMBER = re.compile(rb'\{"line":"L(\d{10}) ')


class Process:
    """A logs process, which may be stopped, killed and started again on its port."""

    def __init__(self, folder: Path, number: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/logs/app.log"
        self.output = folder / f"process-{number}.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EDDYLINE_", "LOGS_"))}
        self._environment = kept | VARIABLES | {"LOGS_SOURCES": str(folder / "logs")}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = ("-m", "eddyline", "serve", "eddyline_logs.app:app", "--port", str(self.port))
        with self.output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdout=output, stderr=output, env=self._environment
            )
        await eventually(self._answers, 30)

    async def _answers(self) -> bool:
        with suppress(OSError):
            stream = await fetch(f"http://127.0.0.1:{self.port}/livez")
            await stream.close()
            return stream.status == 200
        return False

    def send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self, number: int = signal.SIGKILL) -> None:
        self.send(number)
        if self._process is not None:
            await self._process.wait()


@dataclass
class Follower:
    """An EventSource that counts: it comes back with its last id, at any process."""

    processes: list[Process]
    #: Seconds after which it drops; 0: never.
    drops: float = 0.0
    slow: bool = False
    last: str = ""
    expected: int = -1
    lines: int = 0
    lost: int = 0
    twice: int = 0
    gaps: list[str] = field(default_factory=list)
    #: Lines that were missing where a gap or a truncation had told so.
    told: int = 0
    reconnects: int = 0
    faults: list[str] = field(default_factory=list)

    async def follow(self) -> None:
        while True:
            drop = random.uniform(0, 2 * self.drops) if self.drops else 3600.0
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(drop):
                    await self._stream(random.choice(self.processes))
            self.reconnects += 1
            await asyncio.sleep(random.uniform(0.02, 0.3))

    async def _stream(self, process: Process) -> None:
        query = f"?after={self.last}" if self.last else "?lines=0"
        limit = 4096 if self.slow else 1 << 20
        reader, writer = await asyncio.open_connection("127.0.0.1", process.port, limit=limit)
        try:
            writer.write(f"GET /logs/app.log{query} HTTP/1.0\r\nHost: a\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 503 " in head[:20]:
                return  # it stops
            if b" 200 " not in head[:20]:
                self.faults.append(head[:60].decode())
                return
            held = b""
            while data := await reader.read(SLOW if self.slow else 1 << 18):
                held += data
                whole = held.rfind(b"\n\n") + 2
                if whole > 1:
                    self._take(held[:whole])
                    held = held[whole:]
                if self.slow:
                    await asyncio.sleep(1.0)
        finally:
            writer.transport.abort()

    def _take(self, data: bytes) -> None:
        for event, id, text in _EVENT.findall(data):
            if id:
                self.last = id.decode()
            if not event and text:
                self._count(text)
            elif event in (b"gap", b"truncated"):
                self.gaps.append(f"{event.decode()} {text.decode()}")
            elif event == b"eddyline.reset":
                self.faults.append(text.decode())

    def _count(self, text: bytes) -> None:
        match = _NUMBER.match(text)
        if match is None:
            self.faults.append(text[:60].decode())
            return
        number = int(match[1])
        if self.expected < 0:
            self.expected = number
        if number < self.expected:
            self.twice += 1
            self.faults.append(f"{number} after {self.expected - 1}")
            return
        if number > self.expected:
            self._miss(number)
        self.expected = number + 1
        self.lines += 1

    def _miss(self, number: int) -> None:
        missing = number - self.expected
        if self.gaps and _is_told(self.gaps[-1], missing):
            self.told += missing
            self.faults.append(f"{number} after {self.expected - 1}: {self.gaps[-1]}")
        else:
            self.lost += missing
            self.faults.append(f"{number} after {self.expected - 1}, {self.gaps[-1:]}")
        self.gaps.clear()


def _is_told(gap: str, missing: int) -> bool:
    """Whether a gap says so many bytes, where it says any."""
    kind, _, text = gap.partition(" ")
    fact = json.loads(text)
    if kind == "truncated":
        return not fact["copied"]
    return fact["bytes"] is None or fact["bytes"] == missing * LINE


@dataclass
class Torture:
    """A folder with one log, the processes that serve it, and its followers."""

    folder: Path
    processes: list[Process]
    followers: list[Follower]
    total: int = 0

    async def write(self, rate: int, seconds: float, pause: float, ways: list[str]) -> None:
        path = self.folder / "logs" / "app.log"
        program = str(Path(__file__).with_name("log_writer.py"))
        writer = await asyncio.create_subprocess_exec(
            *(sys.executable, program, str(path), str(rate), str(seconds), str(pause), *ways),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await writer.communicate()
        assert writer.returncode == 0
        self.total = int(output)

    async def faults(self, every: float) -> None:
        """Stops and kills the processes in turn, until it is cancelled."""
        for turn in range(1_000_000):
            await asyncio.sleep(every)
            process = self.processes[turn % len(self.processes)]
            match turn % 3:
                case 0:
                    await process.end(signal.SIGKILL)
                    await asyncio.sleep(random.uniform(0, every))
                    await process.start()
                case 1:
                    process.send(signal.SIGSTOP)
                    await asyncio.sleep(min(3.0, every))
                    process.send(signal.SIGCONT)
                case _:
                    await process.end(signal.SIGTERM)
                    await process.start()

    def unsettled(self) -> list[Follower]:
        return [f for f in self.followers if not f.slow and f.expected < self.total]


@asynccontextmanager
async def tortured(
    folder: Path, *, processes: int = 2, live: int = 4, droppers: int = 4, slow: int = 1
) -> AsyncIterator[Torture]:
    (folder / "logs").mkdir()
    (folder / "logs" / "app.log").touch()
    made = [Process(folder, number) for number in range(processes)]
    followers = [Follower(made) for _ in range(live)]
    followers += [Follower(made, drops=0.7) for _ in range(droppers)]
    followers += [Follower(made, slow=True) for _ in range(slow)]
    async with AsyncExitStack() as stack:
        for process in made:
            stack.push_async_callback(process.end)
            await process.start()
        tasks = [asyncio.create_task(follower.follow()) for follower in followers]
        try:
            await eventually(lambda: all(follower.last for follower in followers), 30)
            yield Torture(folder, made, followers)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def run(
    folder: Path,
    *,
    rate: int,
    seconds: float,
    every: float,
    ways: list[str],
    pause: float = 2.0,
    **sizes: int,
) -> Torture:
    """`every`: seconds between two faults of processes, or 0; `pause`: between two rotations."""
    async with tortured(folder, **sizes) as torture:
        faults = asyncio.create_task(torture.faults(every)) if every else None
        await torture.write(rate, seconds, pause, ways)
        if faults is not None:
            faults.cancel()
            await asyncio.gather(faults, return_exceptions=True)
            for process in torture.processes:
                process.send(signal.SIGCONT)
                if not await process._answers():
                    await process.end()
                    await process.start()
        with suppress(TimeoutError):
            await eventually(lambda: not torture.unsettled(), SETTLE)
        return torture


def ways() -> list[str]:
    return [*WAYS, *(LOGROTATE if shutil.which("logrotate") else [])]


def report(torture: Torture) -> str:
    rows = [f"{torture.total} lines"]
    for number, f in enumerate(torture.followers):
        kind = "slow" if f.slow else "drops" if f.drops else "stays"
        behind = 0 if f.slow else torture.total - f.expected
        rows.append(
            f"{number:4} {kind:5} lines {f.lines} lost {f.lost} twice {f.twice} told {f.told}"
            f" behind {behind} reconnects {f.reconnects} {f.faults[:3]}"
        )
    return "\n".join(rows)


def failed(torture: Torture) -> bool:
    wrong = any(f.lost or f.twice or f.faults for f in torture.followers)
    return wrong or bool(torture.unsettled())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rate", type=int, default=50_000, help="lines a second")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between faults; 0: none")
    parser.add_argument("--live", type=int, default=10)
    parser.add_argument("--droppers", type=int, default=10)
    parser.add_argument("--slow", type=int, default=2)
    parser.add_argument("--ways", nargs="*", default=ways())
    options = parser.parse_args()
    random.seed(options.seed)
    sizes = {"live": options.live, "droppers": options.droppers, "slow": options.slow}
    with tempfile.TemporaryDirectory() as folder:
        torture = asyncio.run(
            run(
                Path(folder),
                rate=options.rate,
                seconds=options.seconds,
                every=options.every,
                ways=options.ways,
                **sizes,
            )
        )
        print(f"seed {options.seed}\n{report(torture)}")
    return int(failed(torture))


if __name__ == "__main__":
    sys.exit(main())
