"""`python -m loadtests.local`: starts the suite, and runs the load test on it.

It keeps the server's view beside the client's. The suite is known by its commands and `/metrics`.

Each service is a process of its own, as in production: in one process the work of one would delay
the others. Events are on a Redis where there is a `redis-server`, else in memory.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

from loadtests.outcome import closing
from loadtests.verdict import Check

#: The installed services: their names, without importing any.
SERVICES = tuple(sorted(entry.name for entry in entry_points(group="eddyline.services")))

#: Seconds between two looks at the servers.
LOOK = 2.0

#: Looks that may fail, one after the other.
MISSED = 3

#: Seconds in which a server must be there, and gone.
START, STOP = 60.0, 40.0

#: Lines a second of the log that is followed.
LINES = 1.0

#: How far the two views of the open streams may differ: streams come and go while they are counted.
AGREE = 0.01

#: Seconds over which the rate of events is taken, which come in bursts.
RATE = 10.0

_SAMPLE = re.compile(r"^(eddyline_\w+)(?:\{.*\})? (\S+)$", re.MULTILINE)

#: Kept of /metrics: sums over all labels, under this name in the export.
METRICS = {
    "eddyline_streams_open": "open",
    "eddyline_streams_started_total": "started",
    "eddyline_sent_events_total": "events",
    "eddyline_sent_bytes_total": "bytes",
    "eddyline_slow_consumers_total": "slow_consumers",
    "eddyline_delivery_lag_seconds_sum": "lag_seconds",
    "eddyline_delivery_lag_seconds_count": "lags",
    "eddyline_event_loop_lag_seconds_sum": "loop_lag_seconds",
    "eddyline_event_loop_lag_seconds_count": "loop_lags",
    "eddyline_process_open_files": "files",
}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.local", description=__doc__)
    parser.add_argument("--streams", type=int, default=500, help="open streams (default 500)")
    parser.add_argument("--seconds", type=float, default=120, help="with all of them (default 120)")
    parser.add_argument("--processes", type=int, default=1, help="of the load test (default 1)")
    parser.add_argument("--folder", type=Path, default=Path(".load"), help="default: .load")
    return parser


def main() -> int:
    options, knobs = arguments().parse_known_args()
    folder = options.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    export = folder / "run.json"
    # Streams that are dropped are away for a moment, and most chats and downloads are short.
    users = int(options.streams * 1.09) + 2
    rate = max(20.0, options.streams / 30)
    command = [sys.executable, "-m", "loadtests", "--headless", "--only-summary"]
    command += ["-u", str(users), "-r", str(rate)]
    command += ["-t", f"{round(options.seconds + users / rate)}s"]
    command += ["--think", str(max(3.0, options.streams / 100)), "--export", str(export)]
    # The servers' view belongs to the verdict, which is printed here, once.
    command += ["--verdict", "left"]
    if options.processes > 1:
        command += several(options.processes)
    with ExitStack() as stack:
        suite = stack.enter_context(running_suite(folder))
        stack.enter_context(written_log(folder / "data" / "logs" / "app.log"))
        client = subprocess.Popen([*command, *knobs], env=os.environ | suite.urls())
        samples = suite.watch(client)
    if not export.exists():
        return client.returncode or 1
    run = json.loads(export.read_text())
    # Of the time in which the client counted.
    end = run["began"] + run["elapsed"]
    run["server"] = [s | {"t": s["t"] - run["began"]} for s in samples if s["t"] < end]
    run["seconds"] = options.seconds
    run["command"] = (
        f"make load-local STREAMS={options.streams} SECONDS={options.seconds:g}"
        f" PROCESSES={options.processes}"
    ) + (f" ARGS={shlex.quote(shlex.join(knobs))}" if knobs else "")
    export.write_text(json.dumps(run, indent=1))
    print(f"\n{server_table(run)}\n\nAll figures: {export}\n")
    fault = disagreement(run)
    checks = [Check(**check) for check in run["checks"]]
    print(closing(checks, [*run["verdict"], *([fault] if fault else [])]))
    return client.returncode or int(bool(fault))


def several(processes: int) -> list[str]:
    """Arguments of Locust. On its usual port may be another run, which the workers would join."""
    port = str(free_port())
    bind = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    return ["--processes", str(processes), *bind, "--master-port", port]


class Suite:
    """The processes, by service, and where they listen; `redis` too where there is one."""

    def __init__(self) -> None:
        self.processes: dict[str, psutil.Process] = {}
        self.ports: dict[str, int] = {}

    def urls(self) -> dict[str, str]:
        return {f"{name.upper()}_URL": f"http://127.0.0.1:{p}" for name, p in self.ports.items()}

    def watch(self, client: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
        """A sample each few seconds, until the client is done."""
        samples = []
        process = psutil.Process(client.pid)
        try:
            while client.poll() is None:
                with suppress(OSError, psutil.Error):
                    samples.append(self._sample(process))
                with suppress(subprocess.TimeoutExpired):
                    client.wait(LOOK)
        except KeyboardInterrupt:
            client.wait(STOP)
        finally:
            if client.poll() is None:
                client.kill()
        return samples

    def _sample(self, client: psutil.Process) -> dict[str, Any]:
        found: dict[str, Any] = {"t": time.time()}
        for name, port in self.ports.items():
            # The server looks at its own CPU each ten seconds: not often enough for a plot.
            found[name] = metrics(port) | used([self.processes[name]])
        if "redis" in self.processes:
            found["redis"] = used([self.processes["redis"]])
        found["client"] = used([client, *client.children(recursive=True)])
        return found


def used(processes: list[psutil.Process]) -> dict[str, float]:
    """CPU in seconds so far, memory in bytes."""
    times = [process.cpu_times() for process in processes]
    return {
        "cpu": sum(time.user + time.system for time in times),
        "memory": sum(process.memory_info().rss for process in processes),
    }


def metrics(port: int) -> dict[str, float]:
    """The METRICS that /metrics has; raises OSError."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = dict.fromkeys(METRICS.values(), 0.0)
    for name, value in _SAMPLE.findall(text):
        if name in METRICS:
            found[METRICS[name]] += float(value)
    return found


@contextmanager
def running_suite(folder: Path, services: Sequence[str] = SERVICES) -> Iterator[Suite]:
    """The services, ready; their output is in the folder."""
    suite = Suite()
    data = folder / "data"
    (data / "logs").mkdir(parents=True, exist_ok=True)
    environment = {
        "EDDYLINE_AUTH": "off",
        "EDDYLINE_DRAIN_WINDOW": "1",
        "EDDYLINE_LOG_LEVEL": "warning",
        "DOWNLOADS_STORE": (data / "files").as_uri(),
        "DOWNLOADS_DEMO": "1",
        "LOGS_SOURCES": f"app.log={data / 'logs' / 'app.log'}",
        "RECORDS_DEMO": str(data / "users.db"),
    }
    with ExitStack() as stack:
        if server := shutil.which("redis-server"):
            port = free_port()
            command = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)]
            command += ["--save", "", "--appendonly", "yes"]
            started(stack, suite, "redis", command, folder, {})
            environment["EVENTS_REDIS_URL"] = f"redis://127.0.0.1:{port}"
        for name in services:
            suite.ports[name] = free_port()
            command = [sys.executable, "-m", "eddyline", "serve", f"eddyline_{name}.app:app"]
            command += ["--port", str(suite.ports[name])]
            started(stack, suite, name, command, folder, environment)
        for name, port in suite.ports.items():
            await_ready(name, port, suite.processes[name], folder)
        yield suite


def started(
    stack: ExitStack,
    suite: Suite,
    name: str,
    command: list[str],
    folder: Path,
    environment: dict[str, str],
) -> None:
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    # Not in this process's group: Ctrl-C is for the load test, which then ends in order.
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
    )
    stack.callback(stop, process)
    suite.processes[name] = psutil.Process(process.pid)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def await_ready(name: str, port: int, process: psutil.Process, folder: Path) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until and process.status() != psutil.STATUS_ZOMBIE:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return
        time.sleep(0.1)
    sys.exit(f"{name} did not start: {(folder / f'{name}.log').read_text()[-2000:]}")


@contextmanager
def written_log(path: Path, rate: float = LINES) -> Iterator[None]:
    """A log of numbered lines, which say when they were written."""
    over = threading.Event()

    def write() -> None:
        number = 0
        with path.open("a", buffering=1) as log:
            while not over.wait(1 / rate):
                number += 1
                log.write(f"INFO load={number} sent={time.time():.6f}\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def middle_and_end(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the time in which all streams are there; none where the servers were not seen then."""
    samples = []
    end = run["elapsed"]
    # One that was interrupted has no such time: then the middle of all.
    for moment in (max(end / 2, end - run["seconds"] / 2), end):
        nearest = min(run["server"], key=lambda s: abs(s["t"] - moment), default=None)
        if nearest is not None and abs(nearest["t"] - moment) <= MISSED * LOOK:
            samples.append(nearest)
    return samples if len(samples) == 2 else []


def client_open(run: dict[str, Any], sample: dict[str, Any]) -> int:
    """How many streams the client had open then."""
    points = [point for point in run["series"] if point["t"] <= sample["t"]]
    return sum(points[-1]["open"].values()) if points else 0


def server_open(sample: dict[str, Any]) -> int:
    return int(sum(sample[name]["open"] for name in SERVICES))


def client_events(run: dict[str, Any], sample: dict[str, Any]) -> float:
    """How many events the client had received by then."""
    at = sample["t"] + run["began"] % 1  # points are of whole seconds of the clock
    later = sum(point["events"] * min(1, max(0, point["t"] + 1 - at)) for point in run["series"])
    return float(run["kinds"]["events"]["received"] - later)


def rates(run: dict[str, Any], sample: dict[str, Any]) -> tuple[float, float]:
    """Events a second, of client and server, over some ten seconds until then."""
    earlier = [s for s in run["server"] if s["t"] <= sample["t"] - RATE] or run["server"][:1]
    seconds = sample["t"] - earlier[-1]["t"]
    if not seconds:
        return 0.0, 0.0
    received = client_events(run, sample) - client_events(run, earlier[-1])
    sent = sample["events"]["events"] - earlier[-1]["events"]["events"]
    return received / seconds, sent / seconds


def unread(run: dict[str, Any], sample: dict[str, Any], rate: float) -> float:
    """How many events the server may have sent by then that the client did not read: those that
    slow readers let pile up, and one for each client that left.
    """
    knobs, shares = run["knobs"], run["shares"]
    readers = sum(shares.get(n, 0) for n in ("subscribers", "resumers", "churners", "slow_readers"))
    slow = shares.get("slow_readers", 0)
    # Some read all topics. Where there are few of them, they may be all of those few.
    piled = 2 * rate * slow / readers if slow else 0.0
    most_of_one = knobs["publishers"] * knobs["publish_rate"] if slow else 0.0
    left = sample["events"]["started"] - sample["events"]["open"]
    return float(knobs["pause"] * max(piled, most_of_one) + left)


def disagreement(run: dict[str, Any]) -> str:
    """Where client and server differ about open streams or sent events; nothing where they
    don't.
    """
    samples = middle_and_end(run)
    if not samples:
        return "the server's view is missing"
    for sample in samples:
        when = f"after {sample['t']:.0f} s"
        here, there = client_open(run, sample), server_open(sample)
        if abs(here - there) > max(5, AGREE * here):
            return f"{when} the client had {here} streams open, the server {there}"
        received, sent = client_events(run, sample), sample["events"]["events"]
        # Those of a second are on their way, or were counted before the other side was looked at.
        moving = max(5.0, *rates(run, sample))
        if not -moving <= sent - received <= moving + unread(run, sample, moving):
            return (
                f"{when} the client had received {received:.0f} events, the server sent {sent:.0f}"
            )
    return ""


def server_table(run: dict[str, Any]) -> str:
    lines = []
    for sample in middle_and_end(run):
        here, there = client_open(run, sample), server_open(sample)
        lines.append(
            f"After {sample['t']:.0f} s: {here} streams at the client, {there} at the server"
        )
        for name in (*SERVICES, "redis", "client"):
            if name in sample:
                lines.append(f"  {name:<10}{_row(sample[name])}")
    return "\n".join(lines)


def _row(found: dict[str, float]) -> str:
    row = f"cpu {found['cpu']:7.1f} s  memory {found['memory'] / 2**20:5.0f} MiB"
    if "open" in found:
        row += f"  open {found['open']:6.0f}  sent {found['bytes'] / 2**20:7.1f} MiB"
        row += f", {found['events']:.0f} events" if found["events"] else ""
    return row


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
