"""Writes the results as Markdown: the bars and the tables; and the README's lines."""

import re
from collections.abc import Callable, Iterable, Sequence
from string import Template

from bench.bars import bars
from bench.deliveries import Delivery
from bench.results import Measured, Results, row
from bench.tools import HERE

MIB = 1 << 20


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    if any(len(cells) != len(head) for cells in lines):
        raise ValueError(f"rows are not as long as the head {head}")
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def number(value: float) -> str:
    """Three figures, with thousands separated."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def names(rows: Iterable[Measured]) -> list[str]:
    """The servers in the order in which they were measured, each once."""
    return list(dict.fromkeys(r.server for r in rows))


def bold(name: str) -> str:
    return f"**{name}**" if name.startswith("ours") else name


def _cpu_cell(r: Results, server: str, rate: float) -> str:
    cpu = r.median(server, rate)
    share = r.median(server, rate, lambda d: d.delivered / d.expected)
    if cpu is None or share is None:
        return "-"
    return number(cpu) if share > 0.9995 else f"{number(cpu)} ({share:.0%} delivered)"


def _cell(r: Results, server: str, rate: float, value: Callable[[Delivery], float]) -> str:
    found = r.median(server, rate, value)
    return "-" if found is None else number(found)


def fanout(r: Results) -> str:
    head = ["server", *(f"{rate:g} events/s, µs" for rate in r.scale.rates)]
    head += [f"and Redis, at {r.scale.rates[-1]:g}/s", "peak, MiB"]
    rows = []
    for name in names(r.fanout):
        cells = [_cpu_cell(r, name, rate) for rate in r.scale.rates]
        redis = r.median(name, r.scale.rates[-1], lambda d: d.redis_cpu_us)
        cells += [number(redis) if redis else "-"]
        cells += [_cell(r, name, r.scale.rates[-1], lambda d: d.peak_bytes / MIB)]
        rows.append([bold(name), *cells])
    return table(head, rows)


def latency(r: Results) -> str:
    """p50 and p99 at every rate, the burst included."""
    rates = (*r.scale.rates, r.scale.burst)
    head = ["server", *(f"{rate:g} events/s" for rate in rates)]
    rows = []
    for name in names(r.fanout):
        pairs = (
            (_cell(r, name, at, lambda d: d.p50_ms), _cell(r, name, at, lambda d: d.p99_ms))
            for at in rates
        )
        rows.append([bold(name), *("-" if p == ("-", "-") else " / ".join(p) for p in pairs)])
    return table(head, rows)


def saturation(r: Results) -> str:
    """Burst, flood and deluge: the share of the offered events that arrives; the fastest."""
    head = ["server"]
    for rate in r.scale.saturating:
        head += [f"{rate:g} events/s: delivered", "µs", "p99, ms"]
    head += ["deliveries a second and core"]
    rows = []
    for name in names(r.fanout):
        cells = []
        for rate in r.scale.saturating:
            share = r.median(name, rate, lambda d: d.delivered / d.expected)
            cells += ["-" if share is None else f"{share:.1%}"]
            cells += [_cell(r, name, rate, f) for f in (lambda d: d.cpu_us, lambda d: d.p99_ms)]
        speed = r.speed(name)
        rows.append([bold(name), *cells, "-" if speed is None else number(speed)])
    return table(head, rows)


def publish(r: Results) -> str:
    head = ["server", "request", "connections", "events/s", "µs of CPU per event"]
    head += ["events/s and core", "µs of Redis", "clients' core used by the client"]
    rows = []
    for p in r.publish:
        request = "one event" if p.events == 1 else f"{p.events} {p.kind}"
        figures = [number(x) for x in (p.per_second, p.cpu_us, p.per_core)]
        redis = number(p.redis_cpu_us) if p.redis_cpu_us else "-"
        rows.append(
            [bold(p.server), request, str(p.connections), *figures, redis, f"{p.client_cpu:.0%}"]
        )
    return table(head, rows)


def topics(r: Results) -> str:
    head = ["server", "what", "topics", "connections", "µs per delivery", "p50 / p99, ms"]
    head += ["kB per connection", "all accepted, s"]
    rows = []
    for t in r.topics:
        d = t.run
        late = "" if d.delivered == d.expected else f" ({d.delivered:,} of {d.expected:,})"
        cells = [f"{t.topics:,}", f"{d.connections:,}", number(d.cpu_us) + late]
        cells += [f"{number(d.p50_ms)} / {number(d.p99_ms)}"]
        many = d.connections > 1
        cells += [
            number(x) if many else "-" for x in (d.connection_bytes / 1000, d.connect_seconds)
        ]
        rows.append([bold(t.server), t.what, *cells])
    return table(head, rows)


def idle(r: Results) -> str:
    head = [
        "server",
        "kB per idle connection",
        "all accepted, s",
        "connections/s",
        "then 2 events/s, µs per delivery",
    ]
    head += ["p99, ms", "peak, MiB"]
    rows = [
        [
            bold(d.server),
            number(max(0, d.connection_bytes) / 1000),
            number(d.connect_seconds),
            number(d.connections / max(d.connect_seconds, 0.001)),
            number(d.cpu_us)
            + ("" if d.delivered == d.expected else f" ({d.delivered:,} delivered)"),
            number(d.p99_ms),
            number(d.peak_bytes / MIB),
        ]
        for d in r.idle
    ]
    return table(head, rows)


def stall(r: Results) -> str:
    head = ["server", "process, KiB each", "kernel, KiB each", "readers that got every event"]
    head += ["events that each got", "cut off", "events that the server took"]
    return table(
        head,
        [
            [
                bold(s.server),
                number(s.process_bytes / 1024),
                number(s.kernel_bytes / 1024),
                f"{s.complete} of {s.connections}",
                number(s.delivered / s.connections),
                str(s.cut_off),
                f"{s.published:,} of {s.events:,}",
            ]
            for s in r.stall
        ],
    )


def downloads(r: Results) -> str:
    head = [
        "server",
        "wall, s",
        "CPU, s",
        "peak, MiB",
        "16 KiB files: requests/s",
        "µs of CPU each",
    ]
    head += [f"{r.scale.crowd} clients of 10 GiB: growth, MiB"]
    rows = []
    for large in r.downloads:
        small, crowd = row(r.small, large.server), row(r.crowd, large.server)
        cells = [number(x) for x in (large.seconds, large.cpu_seconds, large.peak_bytes / MIB)]
        cells += [number(small.per_second), number(small.cpu_us)] if small else ["-", "-"]
        cells += [number(crowd.growth_bytes / MIB) if crowd else "-"]
        rows.append([bold(large.server), *cells])
    return table(head, rows)


def types(r: Results) -> str:
    head = ["response", "peak memory, MiB", "growth, MiB", "first byte, ms", "wall, s", "CPU, s"]
    rows = []
    for d in r.types:
        memory = [number(x / MIB) for x in (d.peak_bytes, d.growth_bytes)]
        times = [number(x) for x in (d.first_byte_seconds * 1000, d.seconds, d.cpu_seconds)]
        rows.append([bold(d.server), *memory, *times])
    return table(head, rows)


def durable(r: Results) -> str:
    rates = (r.scale.rates[0], r.scale.rates[-1])
    head = ["server", *(f"{rate:g} events/s, µs per delivery" for rate in rates)]
    head += ["kB per idle reader", "appends/s", "µs of CPU per append", "catch-up, MB/s"]
    head += ["ms of CPU per MB"]
    rows = []
    for name in names(r.durable):
        costs = {d.rate: d for d in r.durable if d.server == name}
        cells = [_delivery(costs.get(rate)) for rate in rates]
        idle, append = row(r.durable_idle, name), row(r.appends, name)
        cells.append("-" if idle is None else number(max(0, idle.connection_bytes) / 1000))
        cells += ["-", "-"] if append is None else map(number, (append.per_second, append.cpu_us))
        read = row(r.caught_up, name)
        if read is None:
            cells += ["-", "-"]
        else:
            size = read.size / 1e6
            cells += [number(size / read.seconds), number(read.cpu_seconds * 1000 / size)]
        rows.append([bold(name), *cells])
    return table(head, rows)


def _delivery(d: Delivery | None) -> str:
    if d is None:
        return "-"
    late = "" if d.delivered == d.expected else f" ({d.delivered / d.expected:.0%} delivered)"
    return number(d.cpu_us) + late


def verdicts(r: Results) -> str:
    rows = [[b.what, b.limit, b.measured, b.verdict] for b in bars(r)]
    return table(["what", "bar", "measured", "result"], rows)


def readme_lines(r: Results) -> list[str]:
    """Four lines for the README, of these measurements."""

    def among(values: Iterable[tuple[str, float | None]]) -> str:
        return ", ".join(f"{name} {number(v)}" for name, v in values if v is not None)

    rate, scale = r.scale.rates[-1], r.scale
    cpu = among((n, r.median(n, rate)) for n in names(r.fanout))
    memory = among((d.server, max(0, d.connection_bytes) / 1000) for d in r.idle)
    large = among((d.server, d.cpu_seconds) for d in r.downloads)
    batch = among((p.server, p.per_second) for p in r.publish if p.events > 1)
    return [
        f"- µs of CPU per delivery, {rate:g} events/s to {scale.subscribers:,} subscribers: {cpu}.",
        f"- kB of memory for each of {scale.idle:,} idle connections: {memory}.",
        f"- Events a second, published over HTTP in batches: {batch}.",
        f"- Seconds of CPU for a download of {scale.file_bytes >> 20:,} MiB: {large}.",
    ]


def markdown(r: Results, plot: str) -> str:
    """The whole page; `plot` is the picture's address, or empty."""
    scale = r.scale
    shown = (fanout, latency, saturation, publish, topics, idle, stall, downloads, types, durable)
    tables = {f.__name__: f(r) for f in shown}
    for section, body in tables.items():
        when = r.when.get({"latency": "fanout", "saturation": "fanout"}.get(section, section))
        tables[section] = f"{body}\nMeasured {when}." if when else "Not measured."
    lost = [f"- {where}: {why}" for where, why in sorted(r.skipped.items())]
    template = Template((HERE / "benchmarks.md.template").read_text())
    text = template.substitute(
        tables,
        plot=f"![The main figures as bars]({plot})" if plot else "",
        bars=verdicts(r),
        subscribers=f"{scale.subscribers:,}",
        seconds=f"{scale.seconds:g}",
        rounds=scale.rounds,
        burst=f"{scale.burst:g}",
        flood=f"{scale.flood:g}",
        deluge=f"{scale.deluge:g}",
        topic_connections=f"{scale.topic_connections:,}",
        offered=f"{scale.burst * scale.seconds * scale.subscribers:,.0f}",
        idle_connections=f"{scale.idle:,}",
        stalled=scale.stalled,
        stall_events=f"{scale.stall_seconds * scale.stall_rate:,.0f}",
        file_size=f"{scale.file_bytes >> 20:,}",
        machine=r.machine,
        servers="\n".join(f"- {name}: `{command}`" for command, name in r.servers.items()),
        skipped="\n".join(["## Not measured", "", *lost]) if lost else "",
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
