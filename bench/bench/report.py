"""Writes the results as Markdown: the bars and the tables; and the README's three lines."""

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
    return f"**{name}**" if name == "ours" else name


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
    top, burst = r.scale.rates[-1], r.scale.burst
    middle = r.scale.rates[len(r.scale.rates) // 2]
    head = ["server", *(f"{rate:g} events/s, µs" for rate in r.scale.rates)]
    head += [f"p50, p99 at {middle:g}/s, ms", f"peak at {top:g}/s, MiB"]
    head += [f"burst of {burst:g}/s: delivered", "µs", "p99, ms"]
    rows = []
    for name in names(r.fanout):
        delivered = r.median(name, burst, lambda d: d.delivered)
        cells = [_cpu_cell(r, name, rate) for rate in r.scale.rates]
        latency = [_cell(r, name, middle, f) for f in (lambda d: d.p50_ms, lambda d: d.p99_ms)]
        cells += [", ".join(latency), _cell(r, name, top, lambda d: d.peak_bytes / MIB)]
        cells += ["-" if delivered is None else f"{delivered:,.0f}"]
        cells += [_cell(r, name, burst, f) for f in (lambda d: d.cpu_us, lambda d: d.p99_ms)]
        rows.append([bold(name), *cells])
    return table(head, rows)


def idle(r: Results) -> str:
    head = [
        "server",
        "kB per idle connection",
        "all accepted, s",
        "then 2 events/s, µs per delivery",
    ]
    head += ["p99, ms", "peak, MiB"]
    rows = [
        [
            bold(d.server),
            number(max(0, d.connection_bytes) / 1000),
            number(d.connect_seconds),
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


def verdicts(r: Results) -> str:
    rows = [[b.what, b.limit, b.measured, b.verdict] for b in bars(r)]
    return table(["what", "bar", "measured", "result"], rows)


def readme_lines(r: Results) -> list[str]:
    """Three lines for the README, of what was measured."""

    def among(values: Iterable[tuple[str, float | None]]) -> str:
        return ", ".join(f"{name} {number(v)}" for name, v in values if v is not None)

    rate, scale = r.scale.rates[-1], r.scale
    cpu = among((n, r.median(n, rate)) for n in names(r.fanout))
    memory = among((d.server, max(0, d.connection_bytes) / 1000) for d in r.idle)
    large = among((d.server, d.cpu_seconds) for d in r.downloads)
    return [
        f"- µs of CPU per delivery, {rate:g} events/s to {scale.subscribers:,} subscribers: {cpu}.",
        f"- kB of memory for each of {scale.idle:,} idle connections: {memory}.",
        f"- Seconds of CPU for a download of {scale.file_bytes >> 20:,} MiB: {large}.",
    ]


def markdown(r: Results, plot: str) -> str:
    """The whole page; `plot` is the picture's address, or empty."""
    scale = r.scale
    tables = {f.__name__: f(r) for f in (fanout, idle, stall, downloads, types)}
    for section, body in tables.items():
        when = r.when.get(section)
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
