"""The bars that the measurements must reach, each against a rival of the same run."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Results, figure, row
from bench.topics import OWN, cost_ratio, memory_each


@dataclass(frozen=True)
class Bar:
    what: str
    limit: str
    measured: str
    passed: bool | None  # None: not measured

    @property
    def verdict(self) -> str:
        return {True: "PASS", False: "MISS", None: "not measured"}[self.passed]


def at_most(what: str, value: float | None, limit: float, unit: str) -> Bar:
    if value is None:
        return Bar(what, f"≤ {limit:g} {unit}", "-", None)
    return Bar(what, f"≤ {limit:g} {unit}", f"{value:.3g} {unit}", value <= limit)


def ratio(what: str, ours: float | None, theirs: float | None, limit: float, rival: str) -> Bar:
    """Ours over theirs."""
    if ours is None or theirs is None or theirs <= 0:
        return Bar(what, f"≤ {limit:g} × {rival}", "-", None)
    measured = f"{ours / theirs:.2f} × ({ours:.3g} to {theirs:.3g})"
    return Bar(what, f"≤ {limit:g} × {rival}", measured, ours / theirs <= limit)


def _fanout(r: Results) -> Iterator[Bar]:
    for rate, limits in (
        (50.0, (("nchan", 1.0), ("mercure", 0.65), ("floor", 1.5))),
        (100.0, (("nchan", 0.8), ("mercure", 0.6))),
    ):
        what = f"CPU per delivery, {r.scale.subscribers:,} subscribers, {rate:g} events/s (µs)"
        for rival, limit in limits:
            yield ratio(what, r.median("ours", rate), r.median(rival, rate), limit, rival)
    ours, nchan = (r.median(name, 50.0, lambda d: d.p99_ms) for name in ("ours", "nchan"))
    yield ratio("p99 of delivery at 50 events/s (ms)", ours, nchan, 1.0, "nchan")


def _burst(r: Results) -> Iterator[Bar]:
    def share(server: str) -> float | None:
        return r.median(server, r.scale.burst, lambda d: d.delivered / d.expected)

    ours, what = share("ours"), f"burst, {r.scale.burst:g} events/s × {r.scale.subscribers:,}"
    if ours is None:
        yield Bar(what, "all delivered", "-", None)
    else:
        rivals = [(n, share(n)) for n in ("nchan", "mercure", "centrifugo")]
        others = ", ".join(f"{n} {s:.1%}" for n, s in rivals if s is not None)
        yield Bar(what, "all delivered", f"{ours:.1%} ({others})", ours == 1)
        for rival in ("nchan", "mercure", "centrifugo"):
            yield _faster(r, rival)
    speed = r.median("ours", r.scale.flood, lambda d: d.delivered / max(d.seconds, 0.001))
    what = f"deliveries a second and core at {r.scale.flood:g} events/s"
    passed = None if speed is None else speed >= 500_000
    yield Bar(what, "≥ 500,000", f"{speed:,.0f}" if speed else "-", passed)


def _faster(r: Results, rival: str) -> Bar:
    ours, theirs = r.speed("ours"), r.speed(rival)
    what, limit = "deliveries a second and core, saturated", f"≥ 3 × {rival}"
    if ours is None or theirs is None:
        return Bar(what, limit, "-", None)
    measured = f"{ours / theirs:.1f} × ({ours:,.0f} to {theirs:,.0f})"
    return Bar(what, limit, measured, ours >= 3 * theirs)


def _publish(r: Results) -> Iterator[Bar]:
    what = "batch of NDJSON published to Redis (AOF), events a second and core"
    batch = next((p for p in r.publish if p.server == "ours, Redis" and p.events > 1), None)
    passed = None if batch is None else batch.per_core >= 50_000
    measured = "-"
    if batch is not None:
        both = 1e6 / (batch.cpu_us + batch.redis_cpu_us)
        measured = f"{batch.per_core:,.0f} ({both:,.0f} with Redis's CPU)"
    yield Bar(what, "≥ 50,000", measured, passed)


def _topics(r: Results) -> Iterator[Bar]:
    many = f"{OWN * r.scale.topic_connections:,}"
    for shared, who in ((False, "one subscriber"), (True, "all")):
        cost = cost_ratio(r.topics, "ours", shared)
        what = f"CPU per delivery with {many} topics, an event for {who}, to one topic's"
        measured = "-" if cost is None else f"{cost:.2f} ×"
        yield Bar(what, "≤ 2 ×", measured, None if cost is None else cost <= 2)
    yield at_most(f"memory for each of {many} topics", memory_each(r.topics, "ours"), 512, "B")


def _idle(r: Results) -> Iterator[Bar]:
    def memory(server: str) -> float | None:
        return figure(r.idle, server, lambda d: d.connection_bytes / 1000)

    ours, what = memory("ours"), f"memory for each of {r.scale.idle:,} idle connections"
    yield at_most(what, ours, 3.5, "kB")
    for rival, limit in (("nchan", 0.4), ("mercure", 0.077)):
        yield ratio(f"{what} (kB)", ours, memory(rival), limit, rival)
    took = figure(r.idle, "ours", lambda d: d.connect_seconds)
    yield at_most(f"{r.scale.idle:,} connections accepted", took, 3, "s")


def _stall(r: Results) -> Iterator[Bar]:
    ours, what = row(r.stall, "ours"), f"each of {r.scale.stalled} stalled readers"
    used = None if ours is None else (ours.process_bytes + ours.kernel_bytes) / 1024
    yield at_most(f"{what}: process and kernel", used, 128, "KiB")
    what = f"{what} gets every event afterwards"
    if ours is None:
        yield Bar(what, "all", "-", None)
    else:
        passed = ours.complete == ours.connections and ours.published == ours.events
        yield Bar(what, "all", f"{ours.complete} of {ours.connections} readers", passed)


def _downloads(r: Results) -> Iterator[Bar]:
    size = f"{r.scale.file_bytes >> 20:,} MiB download"
    ours, nginx = (figure(r.downloads, n, lambda d: d.cpu_seconds) for n in ("ours", "nginx"))
    yield ratio(f"{size}, CPU (s)", ours, nginx, 1.2, "nginx")
    ours, nginx = (figure(r.downloads, n, lambda d: d.seconds) for n in ("ours", "nginx"))
    yield ratio(f"{size}, wall (s)", ours, nginx, 1.2, "nginx")
    ours, python = (figure(r.small, n, lambda d: d.cpu_us) for n in ("ours", "FileResponse"))
    yield ratio("CPU for a 16 KiB file (µs)", ours, python, 0.25, "FileResponse")
    growth = figure(r.crowd, "ours", lambda d: d.growth_bytes / (1 << 20))
    yield at_most(f"memory growth, {r.scale.crowd} clients in 10 GiB downloads", growth, 8, "MiB")


def bars(results: Results) -> list[Bar]:
    parts = (_fanout, _burst, _publish, _topics, _idle, _stall, _downloads)
    return [bar for part in parts for bar in part(results)]
