"""Runs the sections: which servers are measured how, and in which order."""

import datetime
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from bench import deliveries, downloads
from bench.deliveries import Delivery, Plan
from bench.downloads import Crowd, Download, SmallFiles
from bench.durable import CatchUp, catch_up, stream_servers
from bench.publishing import BATCH_EVENTS, Publish, publish
from bench.results import Results
from bench.rivals import NCHAN, NGINX, event_servers
from bench.servers import REDIS, EventServer, Server, described
from bench.tools import BenchError, build, say
from bench.topics import KINDS, TopicRun, many_topics, topic_run

STALL_SERVERS = ("ours", "ours, Redis", "nchan", "mercure", "centrifugo")
PUBLISH_NOT = ("floor", "fastapi", "sse-starlette")
PACKAGES = ("nginx-light", "libnginx-mod-nchan", "pushpin", "redis-server")
S = TypeVar("S", bound=Server)
T = TypeVar("T")
P = ParamSpec("P")


def install_packages() -> None:
    """Rivals from Debian, where we may: as root, with apt. Their services are not started."""
    if NGINX.exists() and NCHAN.exists() and shutil.which("pushpin") and shutil.which(REDIS):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        return
    say(f"installing {' '.join(PACKAGES)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            say(f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}")
            return


class Suite:
    """One run over the chosen servers; `results` grows section by section."""

    def __init__(self, results: Results, work: Path, only: Sequence[str] = ()) -> None:
        self.results, self.scale, self.work, self.only = results, results.scale, work, only
        self._program = build("load", work)

    def run(self, section: str) -> None:
        kept = {k: v for k, v in self.results.skipped.items() if not k.startswith(f"{section}: ")}
        self.results = replace(self.results, skipped=kept)
        rows: dict[str, Any] = getattr(self, f"_{section}")()
        when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        self.results = replace(self.results, when={**self.results.when, section: when}, **rows)

    def _chosen(self, section: str, servers: Iterable[S]) -> list[S]:
        """Those that can run here; the others are noted with the reason and how to get them."""
        found = []
        for server in servers:
            if self.only and server.name not in self.only:
                continue
            if reason := server.missing():
                self._skip(section, server, f"{reason}; to get it: {server.how_to_get}")
                continue
            self.results.servers.setdefault(described(server), f"{server.name}: {server.version()}")
            found.append(server)
        return found

    def _skip(self, section: str, server: Server, reason: str) -> None:
        say(f"{section}: {server.name} not measured: {reason}")
        self.results.skipped[f"{section}: {server.name}"] = " ".join(reason.split())

    def _measure(
        self,
        section: str,
        how: Callable[Concatenate[Path, S, P], T],
        server: S,
        *args: P.args,
        **kw: P.kwargs,
    ) -> list[T]:
        """The row, or none where it could not be measured."""
        try:
            row = how(self._program, server, *args, **kw)
        except (BenchError, OSError) as error:
            self._skip(section, server, str(error))
            return []
        say(f"{section}: {row}")
        return [row]

    def _fanout(self) -> dict[str, Any]:
        servers = self._chosen("fanout", event_servers(self.work))
        rounds = range(self.scale.rounds)
        return {
            "fanout": [
                row
                for n in rounds
                for server in servers
                if n == 0 or server.barred
                for row in self._sweep(server, saturate=n == 0)
            ]
        }

    def _sweep(self, server: EventServer, saturate: bool) -> Iterator[Delivery]:
        """Every rate, until one that the server cannot keep up with at all."""
        scale = self.scale
        more = scale.saturating if saturate else ()
        for rate in (*scale.rates, *more):
            plan = Plan(scale.subscribers, rate, scale.seconds)
            rows = self._measure("fanout", deliveries.deliver, server, plan)
            yield from rows
            if not rows or rows[0].delivered < rows[0].expected / 2:
                return

    def _publish(self) -> dict[str, Any]:
        every = [s for s in event_servers(self.work) if s.name not in PUBLISH_NOT]
        rows: list[Publish] = []
        for server in self._chosen("publish", every):
            for events in (1, BATCH_EVENTS) if server.batch else (1,):
                seconds = self.scale.publish_seconds
                rows += self._measure("publish", publish, server, events, seconds)
        return {"publish": rows}

    def _topics(self) -> dict[str, Any]:
        rows: list[TopicRun] = []
        for server in self._chosen("topics", many_topics()):
            for kind in KINDS:
                rows += self._measure(
                    "topics", topic_run, server, kind, self.scale.topic_connections
                )
        return {"topics": rows}

    def _idle(self) -> dict[str, Any]:
        plan = Plan(self.scale.idle, 2, self.scale.seconds, settle=2)
        servers = self._chosen("idle", event_servers(self.work))
        return {
            "idle": [r for s in servers for r in self._measure("idle", deliveries.deliver, s, plan)]
        }

    def _stall(self) -> dict[str, Any]:
        scale = self.scale
        plan = Plan(
            scale.stalled, scale.stall_rate, scale.stall_seconds, linger=5, event_bytes=1000
        )
        every = [s for s in event_servers(self.work) if s.name in STALL_SERVERS]
        servers = self._chosen("stall", every)
        return {
            "stall": [r for s in servers for r in self._measure("stall", deliveries.stall, s, plan)]
        }

    @contextmanager
    def _files(self) -> Iterator[Path]:
        folder = self.work / "files"
        try:
            yield downloads.make_files(folder, self.scale.file_bytes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _downloads(self) -> dict[str, Any]:
        large: list[Download] = []
        small: list[SmallFiles] = []
        crowd: list[Crowd] = []
        few, many = self.scale.small_seconds, (self.scale.crowd, self.scale.crowd_seconds)
        with self._files() as files:
            for server in self._chosen("downloads", downloads.file_servers(files)):
                runs = self._measure("downloads", downloads.download, server, files)
                if not runs:
                    continue
                # The same transfer costs up to twice as much from one run to the next, by any
                # server: only a middle one of several can be compared.
                while len(runs) < 7 and sum(run.seconds for run in runs) < 12:
                    runs += self._measure("downloads", downloads.download, server, files)
                runs.sort(key=lambda run: run.cpu_seconds)
                large.append(runs[len(runs) // 2])
                if server.sized:
                    small += self._measure("downloads", downloads.small_files, server, files, few)
                    crowd += self._measure("downloads", downloads.crowd, server, *many)
        return {"downloads": large, "small": small, "crowd": crowd}

    def _types(self) -> dict[str, Any]:
        rows: list[Download] = []
        with self._files() as files:
            for server in self._chosen("types", downloads.kinds(files)):
                rows += self._measure("types", downloads.download, server, files)
        return {"types": rows}

    def _durable(self) -> dict[str, Any]:
        scale = self.scale
        live: list[Delivery] = []
        idle: list[Delivery] = []
        appends: list[Publish] = []
        caught_up: list[CatchUp] = []
        for server in self._chosen("durable", stream_servers()):
            for rate in (scale.rates[0], scale.rates[-1]):
                plan = Plan(scale.subscribers, rate, scale.seconds)
                live += self._measure("durable", deliveries.deliver, server, plan)
            plan = Plan(scale.idle, 2, scale.seconds, settle=2)
            idle += self._measure("durable", deliveries.deliver, server, plan)
            appends += self._measure("durable", publish, server, 1, scale.publish_seconds)
            caught_up += self._measure("durable", catch_up, server, scale.file_bytes)
        rows = {"durable": live, "durable_idle": idle}
        return {**rows, "appends": appends, "caught_up": caught_up}
