"""Events under faults, on real processes and a real Redis: nothing is lost, nothing comes twice.

`make chaos` runs this as a program, for minutes and with a report; test_chaos.py runs each fault
for seconds. A subscriber behaves as an EventSource: it resumes by its last id, at any process.
Of entries that are gone it is told by `eddyline.reset`, and only then may numbers be missing.
"""

import argparse

# sleep: faults last for a time and clients come at a pace, in this program that makes faults.
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from herd import Publisher, Server, Subscriber, Tally
from redis_faults import LOSING, MORE

from eddyline.testing import FaultProxy, RedisServer, eventually, fetch, free_port

TOPICS = ("a", "b", "c")
SUBSCRIBERS = 10  # of each topic, as many of all topics, and as many by a template
PROCESSES = 2
#: Seconds between two events of a topic.
PACE = 0.02

#: Seconds in which everyone must have everything once the faults are over.
SETTLE = 60.0

VARIABLES = {
    "EDDYLINE_AUTH": "off",
    "EDDYLINE_DRAIN_WINDOW": "1.5",
    "EDDYLINE_LOG_LEVEL": "warning",
    "EDDYLINE_MAX_AGE": "20",
}


class Process:
    """One events process, which may be killed and started again on its port."""

    def __init__(self, redis_port: int, log: Path, workers: int = 0) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "eddyline", "serve", "eddyline_events.app:app"]
        self._command += ["--port", str(self.port)]
        if workers:
            self._command += ["--workers", str(workers)]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EDDYLINE_", "EVENTS_"))}
        url = f"redis://127.0.0.1:{redis_port}"
        self._environment = kept | VARIABLES | {"EVENTS_REDIS_URL": url}
        self.log = log
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        async with asyncio.timeout(30):
            while not await self.is_ready():
                await asyncio.sleep(0.05)

    async def is_ready(self) -> bool:
        return await self.status("/readyz") == 200

    async def status(self, path: str) -> int:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with await fetch(self.url + path) as answer:
                return answer.status
        return 0

    async def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 30)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()


class World:
    """Redis, processes with a fault proxy each before it, publishers and subscribers."""

    def __init__(self, redis: RedisServer, proxies: list[FaultProxy], folder: Path) -> None:
        self.redis = redis
        self.proxies = proxies
        self.folder = folder
        self.processes: list[Process] = []
        anywhere = Server(lambda: random.choice(self.processes).url)
        self.publishers = {topic: Publisher(anywhere, topic, PACE) for topic in TOPICS}
        groups = [(topic,) for topic in TOPICS] + [TOPICS]
        self.subscribers = [Subscriber(anywhere, g) for g in groups for _ in range(SUBSCRIBERS)]
        template = ("{topic}",)
        self.subscribers += [Subscriber(anywhere, TOPICS, template) for _ in range(SUBSCRIBERS)]
        #: The tasks of publishers and subscribers: none of them ends before the world does.
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def accepted(self) -> int:
        return sum(publisher.accepted for publisher in self.publishers.values())

    @property
    def refused(self) -> int:
        return sum(publisher.refused for publisher in self.publishers.values())

    @property
    def unanswered(self) -> int:
        return sum(publisher.unanswered for publisher in self.publishers.values())

    @property
    def reconnects(self) -> int:
        return sum(subscriber.tally.reconnects for subscriber in self.subscribers)

    def tally(self) -> Tally:
        return sum((subscriber.tally for subscriber in self.subscribers), Tally())

    async def flows(self, seconds: float = SETTLE) -> None:
        """Returns when a few more events were published, and everyone has had them."""
        mark = {topic: p.accepted + 3 for topic, p in self.publishers.items()}

        def reached() -> bool:
            for task in self.tasks:
                if task.done():
                    task.result()  # this raises the error that ended it
            return all((s.last[t] or 0) >= mark[t] for s in self.subscribers for t in s.topics)

        await eventually(reached, seconds)


@asynccontextmanager
async def world(folder: Path, workers: int = 0) -> AsyncIterator[World]:
    """Everything runs and flows; at the end publishing stops, and all must get all."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder, "--appendfsync", "everysec"))
        proxies = [
            await stack.enter_async_context(FaultProxy(redis.port)) for _ in range(PROCESSES)
        ]
        made = World(redis, proxies, folder)
        for index, proxy in enumerate(proxies):
            process = Process(proxy.port, folder / f"process-{index}.log", workers)
            stack.push_async_callback(process.kill)
            made.processes.append(process)
        await asyncio.gather(*(process.start() for process in made.processes))
        stopping = asyncio.Event()
        reading = [asyncio.create_task(s.run()) for s in made.subscribers]
        stack.callback(lambda: [task.cancel() for task in reading])
        await eventually(lambda: all(s.connected for s in made.subscribers))
        publishing = [asyncio.create_task(p.run(stopping)) for p in made.publishers.values()]
        stack.callback(lambda: [task.cancel() for task in publishing])
        made.tasks = [*reading, *publishing]
        await made.flows()
        yield made
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*publishing), SETTLE)
        await eventually(lambda: all(s.has_all(made.publishers) for s in made.subscribers), SETTLE)
        assert not [task for task in reading if task.done()], "a subscriber failed"


# The faults. Each returns when it is over; `seconds` is how long one lasts that lasts.

Fault = Callable[[World, float], Awaitable[None]]


async def kill_a_process(world: World, seconds: float) -> None:
    """SIGKILL, and a new one on its port after a while."""
    victim = random.choice(world.processes)
    await victim.kill()
    await asyncio.sleep(seconds / 3)
    await victim.start()


async def drain_a_process(world: World, seconds: float) -> None:
    """SIGTERM under load: it ends its streams, and exits with 0."""
    victim = random.choice(world.processes)
    code = await victim.stop()
    assert code == 0, f"exit code {code}: {victim.log.read_text()[-2000:]}"
    await asyncio.sleep(seconds / 3)
    await victim.start()


async def restart_redis(world: World, seconds: float) -> None:
    await _restart(world, signal.SIGTERM, seconds)


async def crash_redis(world: World, seconds: float) -> None:
    await _restart(world, signal.SIGKILL, seconds)


async def _restart(world: World, number: int, seconds: float) -> None:
    await asyncio.to_thread(world.redis.stop, number)
    await asyncio.sleep(seconds / 3)
    await asyncio.to_thread(world.redis.start)


async def hang_redis(world: World, seconds: float) -> None:
    """Nothing passes, and no connection breaks: streams stay open, and `/readyz` tells."""
    for proxy in world.proxies:
        proxy.freeze()
    try:
        await _is_noticed(world, seconds)
    finally:
        for proxy in world.proxies:
            proxy.thaw()


async def stop_redis(world: World, seconds: float) -> None:
    """SIGSTOP: the server itself hangs."""
    world.redis.pause()
    try:
        await _is_noticed(world, seconds)
    finally:
        world.redis.resume()


async def _is_noticed(world: World, seconds: float) -> None:
    began, before = time.monotonic(), world.reconnects
    for process in world.processes:
        async with asyncio.timeout(15):
            while await process.status("/readyz") != 503:
                await asyncio.sleep(0.1)
        assert await process.status("/livez") == 200
    await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
    if seconds < 15:  # by then, streams may end of age
        assert world.reconnects == before, "a stream was ended"


async def cut_connections(world: World, seconds: float) -> None:
    """Each connection to Redis ends after a random number of bytes, again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for proxy in world.proxies:
            proxy.cut_after = random.randint(100, 20_000)
            proxy.cut()
        await asyncio.sleep(random.uniform(0.1, 0.8))
    for proxy in world.proxies:
        proxy.cut_after = None
        proxy.cut()


async def drop_clients(world: World, seconds: float) -> None:
    """Clients are reset at random moments."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for subscriber in random.sample(world.subscribers, len(world.subscribers) // 4):
            subscriber.drop()
        await asyncio.sleep(0.1)


async def empty_redis(world: World, seconds: float) -> None:
    """All is gone, at once: everyone is told, and goes on."""
    world.redis.command("FLUSHALL")
    told = [subscriber.tally.resets.total() for subscriber in world.subscribers]
    await eventually(
        lambda: all(
            subscriber.tally.resets.total() > before
            for subscriber, before in zip(world.subscribers, told, strict=True)
        ),
        SETTLE,
    )


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_a_process,
        drain_a_process,
        restart_redis,
        crash_redis,
        hang_redis,
        stop_redis,
        cut_connections,
        drop_clients,
        empty_redis,
    )
}

#: All of them: those above run in each `make test`, the others where somebody asks.
ALL_FAULTS = FAULTS | {fault.__name__: fault for fault in MORE}

#: Where data is truly gone, everyone is told; elsewhere nobody is.
LOSES_DATA = {"empty_redis", *(fault.__name__ for fault in LOSING)}


# The long form.


@dataclass
class Step:
    """One fault of a long run, and its cost."""

    fault: str
    seconds: float
    recovery: float
    published: int
    refused: int
    unanswered: int
    tally: Tally


async def rampage(seed: int, seconds: float, folder: Path, steps: list[Step]) -> None:
    """Adds a step for each fault, in an order of the seed, until `seconds` have passed; every fault
    comes at least once.
    """
    # Its own: how often publishers and subscribers draw is a matter of time.
    chance = random.Random(seed)
    schedule = chance.sample(list(ALL_FAULTS), len(ALL_FAULTS))
    began = time.monotonic()
    async with world(folder) as made:
        while schedule or time.monotonic() - began < seconds:
            name = schedule.pop() if schedule else chance.choice(list(ALL_FAULTS))
            length = chance.uniform(2, 8)
            print(f"{name} …", file=sys.stderr, flush=True)
            steps.append(await _step(made, name, 30.0 if name in _HANGS else length))
            print(_row(steps[-1]), flush=True)


_HANGS = ("hang_redis", "stop_redis")


async def _step(made: World, name: str, length: float) -> Step:
    before, published = made.tally(), made.accepted
    refused, unanswered = made.refused, made.unanswered
    await ALL_FAULTS[name](made, length)
    over = time.monotonic()
    await made.flows()
    recovery = time.monotonic() - over
    return Step(
        name,
        length,
        recovery,
        made.accepted - published,
        made.refused - refused,
        made.unanswered - unanswered,
        made.tally() - before,
    )


_COLUMNS = (
    "fault",
    "lasted",
    "all have all after",
    "published",
    "refused (503)",
    "unanswered",
    "delivered",
    "lost",
    "twice",
    "out of order",
    "reconnects",
    "resets",
)
_HEAD = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"


def _row(step: Step) -> str:
    t = step.tally
    resets = ", ".join(f"{count} {reason}" for reason, count in t.resets.items()) or "0"
    return (
        f"| {step.fault} | {step.seconds:.0f} s | {step.recovery:.1f} s | {step.published}"
        f" | {step.refused} | {step.unanswered} | {t.delivered} | {t.lost} | {t.twice}"
        f" | {t.disorder} | {t.reconnects} | {resets} |"
    )


def passed(steps: list[Step]) -> bool:
    told_in_vain = [s for s in steps if s.tally.resets and s.fault not in LOSES_DATA]
    return all(step.tally.clean for step in steps) and not told_in_vain


def report(seed: int, steps: list[Step], failure: str = "") -> str:
    verdict = "FAILED" if failure or not passed(steps) else "PASSED"
    clients = (len(TOPICS) + 2) * SUBSCRIBERS
    intro = (
        f"# Chaos: {verdict}\n\n{PROCESSES} processes on one Redis (append-only file, fsync each"
        f" second), {len(TOPICS)} topics at {1 / PACE:.0f} events/s each, {clients} subscribers"
        f" that resume at any process. Seed {seed}: `make chaos SEED={seed}` repeats the order.\n\n"
    )
    table = "\n".join([_HEAD, *map(_row, steps)]) + "\n"
    return intro + table + (f"\nAfter that:\n\n```\n{failure}```\n" if failure else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300, help="at least (default 300)")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of the order")
    parser.add_argument("--report", type=Path, default=Path(".chaos/report.md"))
    options = parser.parse_args()
    print(f"seed {options.seed}\n{_HEAD}", flush=True)
    steps: list[Step] = []
    failure = ""
    with tempfile.TemporaryDirectory(prefix="eddyline-chaos-") as folder:
        try:
            asyncio.run(rampage(options.seed, options.seconds, Path(folder), steps))
        except Exception:  # a run that hangs or breaks is the one whose report is needed
            failure = traceback.format_exc()
            print(failure, file=sys.stderr)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report(options.seed, steps, failure))
    good = not failure and passed(steps)
    print(f"{'PASSED' if good else 'FAILED'}: see {options.report}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
