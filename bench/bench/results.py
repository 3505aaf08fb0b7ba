"""The measurements, kept as JSON so that tables can be rendered again without measuring."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bench.deliveries import Delivery, Stall
from bench.downloads import Crowd, Download, SmallFiles
from bench.durable import CatchUp
from bench.publishing import Publish
from bench.topics import TopicRun


class Measured(Protocol):
    @property
    def server(self) -> str: ...


Row = TypeVar("Row", bound=Measured)

SECTIONS = ("fanout", "publish", "topics", "idle", "stall", "downloads", "types", "durable")


@dataclass(frozen=True)
class Scale:
    """How much is measured. The bars are meant for FULL; QUICK only shows that everything works."""

    subscribers: int
    idle: int
    rates: tuple[float, ...]
    burst: float
    flood: float
    deluge: float
    seconds: float
    rounds: int
    stalled: int
    stall_seconds: float
    stall_rate: float  # events of 1 KiB a second
    file_bytes: int
    small_seconds: float
    crowd: int
    crowd_seconds: float
    publish_seconds: float
    topic_connections: int

    @property
    def saturating(self) -> tuple[float, ...]:
        """Events a second, each offered to servers that delivered half at the one before."""
        return (self.burst, self.flood, self.deluge)


# fmt: off
FULL = Scale(
    1000, 10_000, (20, 50, 100), 400, 1000, 2500, 4, 2, 500, 10.24, 400, 1 << 30, 3, 100, 5, 3, 2000
)
QUICK = Scale(
    100, 500, (20, 100), 400, 1000, 2500, 1, 1, 50, 2.56, 400, 64 << 20, 0.5, 20, 1, 0.5, 100
)
# fmt: on


@dataclass(frozen=True)
class Results:
    scale: Scale = FULL
    machine: str = ""
    when: dict[str, str] = field(default_factory=dict)  # of each section
    servers: dict[str, str] = field(default_factory=dict)  # command line to name and version
    skipped: dict[str, str] = field(default_factory=dict)  # "section: server" to the reason
    fanout: Sequence[Delivery] = ()
    publish: Sequence[Publish] = ()
    topics: Sequence[TopicRun] = ()
    idle: Sequence[Delivery] = ()
    stall: Sequence[Stall] = ()
    downloads: Sequence[Download] = ()
    small: Sequence[SmallFiles] = ()
    crowd: Sequence[Crowd] = ()
    types: Sequence[Download] = ()
    durable: Sequence[Delivery] = ()
    durable_idle: Sequence[Delivery] = ()
    appends: Sequence[Publish] = ()
    caught_up: Sequence[CatchUp] = ()

    def median(
        self, server: str, rate: float, value: Callable[[Delivery], float] = lambda d: d.cpu_us
    ) -> float | None:
        """Over the rounds of fan-out at this rate; None where it was not measured."""
        values = [value(d) for d in self.fanout if (d.server, d.rate) == (server, rate)]
        return statistics.median(values) if values else None

    def speed(self, server: str) -> float | None:
        """Deliveries a second at the rate at which there were most: one core's, of the server."""

        def per_second(d: Delivery) -> float:
            return d.delivered / max(d.seconds, 0.001)

        found = (self.median(server, at, per_second) for at in self.scale.saturating)
        return max((speed for speed in found if speed is not None), default=None)


def row(rows: Sequence[Row], server: str) -> Row | None:
    """The server's row, or None where it was not measured."""
    return next((r for r in rows if r.server == server), None)


def figure(rows: Sequence[Row], server: str, of: Callable[[Row], float]) -> float | None:
    """One figure of the server's row, or None where it was not measured."""
    found = row(rows, server)
    return None if found is None else of(found)


def save(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(results), indent=1) + "\n")


def load(path: Path, scale: Scale) -> Results:
    """Earlier results of the same scale, so that one section can be measured anew; else none."""
    if not path.exists():
        return Results(scale)
    kept: dict[str, Any] = json.loads(path.read_text())
    kinds = {"fanout": Delivery, "idle": Delivery, "stall": Stall, "downloads": Download}
    kinds |= {
        "publish": Publish,
        "topics": TopicRun,
        "small": SmallFiles,
        "crowd": Crowd,
        "types": Download,
        "durable": Delivery,
        "durable_idle": Delivery,
        "appends": Publish,
        "caught_up": CatchUp,
    }
    try:
        rows: dict[str, Any] = {
            name: [kind(**row) for row in kept[name]] for name, kind in kinds.items()
        }
        rows["topics"] = [replace(t, run=Delivery(**vars(t)["run"])) for t in rows["topics"]]
        kept["scale"]["rates"] = tuple(kept["scale"]["rates"])
        results = Results(**{**kept, **rows, "scale": Scale(**kept["scale"])})
    except (KeyError, TypeError):
        return Results(scale)  # of an older bench
    return results if results.scale == scale else Results(scale)


def machine() -> str:
    """Processor, cores, memory, kernel, Python."""
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()},"
        f" Python {platform.python_version()}"
    )
