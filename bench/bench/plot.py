"""Draws the main figures as one SVG that reads on light and on dark pages."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from bench.report import names, number
from bench.results import Results

INK, OURS, FLOOR, RIVAL = "#7d8590", "#e8590c", "#7d8590", "#4c8dd6"
Panel = tuple[str, list[tuple[str, float]]]


def _published(r: Results, batch: bool) -> list[tuple[str, float]]:
    return [(p.server, p.per_second / 1000) for p in r.publish if (p.events > 1) == batch]


def panels(r: Results) -> list[Panel]:
    """Title and bars of each panel for which there is something to show."""
    rate, middle = r.scale.rates[-1], r.scale.rates[len(r.scale.rates) // 2]
    servers = names(r.fanout)

    def of(at: float, value: Callable[[str, float], float | None]) -> list[tuple[str, float]]:
        found = ((name, value(name, at)) for name in servers)
        return [(name, v) for name, v in found if v is not None]

    all_panels: list[Panel] = [
        (
            f"µs of CPU per delivery, {rate:g} events/s × {r.scale.subscribers:,}",
            of(rate, r.median),
        ),
        (
            f"p99 of delivery in ms, {middle:g} events/s × {r.scale.subscribers:,}",
            of(middle, lambda n, at: r.median(n, at, lambda d: d.p99_ms)),
        ),
        (
            "deliveries a second and core at saturation, thousand",
            [(n, (r.speed(n) or 0) / 1000) for n in servers],
        ),
        ("events a second published one by one, thousand", _published(r, batch=False)),
        ("events a second published in batches, thousand", _published(r, batch=True)),
        (
            f"kB per idle connection, {r.scale.idle:,} of them",
            [(d.server, d.connection_bytes / 1000) for d in r.idle],
        ),
        (
            "KiB per stalled reader, process and kernel",
            [(s.server, (s.process_bytes + s.kernel_bytes) / 1024) for s in r.stall],
        ),
        (
            f"s of CPU for a download of {r.scale.file_bytes >> 20:,} MiB",
            [(d.server, d.cpu_seconds) for d in r.downloads],
        ),
        (
            f"MiB at the peak while sending {r.scale.file_bytes >> 20:,} MiB",
            [(d.server.partition(",")[0], d.peak_bytes / (1 << 20)) for d in r.types],
        ),
    ]
    return [panel for panel in all_panels if panel[1]]


def _draw(axes: Axes, title: str, bars: Sequence[tuple[str, float]]) -> None:
    labels, values = [b[0] for b in bars], [max(b[1], 0.0) for b in bars]
    colours = [
        FLOOR if name == "floor" else OURS if name.startswith("ours") else RIVAL for name in labels
    ]
    drawn = axes.barh(labels, values, color=colours, height=0.7)
    axes.bar_label(drawn, [number(v) for v in values], padding=3, color=INK, fontsize=8)
    axes.set_title(title, color=INK, fontsize=9, loc="left")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_visible(False)
    axes.tick_params(colors=INK, length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw(r: Results, path: Path) -> bool:
    """Writes the SVG; False where there is nothing to draw."""
    shown = panels(r)
    if not shown:
        return False
    rows = (len(shown) + 1) // 2
    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": "eddyline"}):
        figure, grid = pyplot.subplots(rows, 2, figsize=(9, 2.3 * rows), squeeze=False)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        for axes, (title, bars) in zip(grid.flat, shown, strict=False):
            _draw(axes, title, bars)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, transparent=True, metadata={"Date": None})
        pyplot.close(figure)
    return True
