"""`python -m loadtests.report`: docs/load.md of the last `make load-local`, from .load/run.json.

The client's figures, the server's beside them, and what a stream and an event cost.
"""

import argparse
import json
import platform
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

import psutil

from loadtests.local import SERVICES, client_open, middle_and_end, server_open

TEMPLATE = Path(__file__).with_name("load.md.template")

Row = Iterable[object]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.report", description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, default=Path(".load/run.json"))
    parser.add_argument("--to", type=Path, default=Path("docs/load.md"))
    options = parser.parse_args()
    run = json.loads(options.run.read_text())
    options.to.write_text(report(run))


def report(run: dict[str, Any]) -> str:
    middle, end = middle_and_end(run)
    return Template(TEMPLATE.read_text()).substitute(
        machine=f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB,"
        f" Python {platform.python_version()}",
        streams=f"{client_open(run, end):,}",
        seconds=f"{run['elapsed']:.0f}",
        verdict="; ".join(run["verdict"]) or "passed",
        kinds=kinds(run),
        histograms=histograms(run),
        views=views(run, (middle, end)),
        costs=costs(run, middle, end),
    )


def kinds(run: dict[str, Any]) -> str:
    names = (
        "received",
        "lost",
        "repeated",
        "reordered",
        "stalled",
        "dirty",
        "reconnects",
        "refused",
    )
    found = ((kind, *(f"{counts[n]:,}" for n in names)) for kind, counts in run["kinds"].items())
    return table(("kind", *names), found)


def histograms(run: dict[str, Any]) -> str:
    parts = ("p50", "p90", "p99", "p999", "max")
    found = (
        (name, f"{entry['count']:,}", *(f"{entry[part] * 1000:,.1f}" for part in parts))
        for name, entry in run["histograms"].items()
        if entry["count"]
    )
    return table(("milliseconds", "samples", *parts), found)


def views(run: dict[str, Any], samples: Iterable[dict[str, Any]]) -> str:
    rows = []
    for sample in samples:
        point = [p for p in run["series"] if p["t"] <= sample["t"]][-1]
        row: list[object] = [f"{sample['t']:.0f} s", f"{client_open(run, sample):,}"]
        row += [f"{server_open(sample):,}", f"{point['events']:,.0f}"]
        rows.append([*row, f"{rate(run, sample, 'events'):,.0f}"])
    head = ("after", "open, client", "open, server", "events/s, client", "events/s, server")
    return table(head, rows)


def rate(run: dict[str, Any], sample: dict[str, Any], name: str) -> float:
    """A second, of all services, since the sample before."""
    before = [other for other in run["server"] if other["t"] < sample["t"]][-1]
    now, then = (sum(s[service][name] for service in SERVICES) for s in (sample, before))
    return float(now - then) / float(sample["t"] - before["t"])


def costs(run: dict[str, Any], middle: dict[str, Any], end: dict[str, Any]) -> str:
    """Of the second half, in which nothing is built up any more; memory since the start."""
    first, seconds = run["server"][0], end["t"] - middle["t"]
    rows = []
    for name in (*SERVICES, "redis", "client"):
        if name not in end:
            continue
        cpu = end[name]["cpu"] - middle[name]["cpu"]
        grown = end[name]["memory"] - first[name]["memory"]
        opened = end[name].get("open", 0) - first[name].get("open", 0)
        sent = end[name].get("events", 0) - middle[name].get("events", 0)
        rows.append(
            (
                name,
                f"{end[name].get('open', 0):,.0f}",
                f"{cpu / seconds:.0%}",
                f"{end[name]['memory'] / 2**20:,.0f} MiB",
                f"{grown / opened / 1000:.1f} kB" if opened >= 100 else "",
                f"{cpu / sent * 1e6:.0f} µs" if sent >= 1000 else "",
            )
        )
    head = (
        "process",
        "open streams",
        "of a core",
        "memory",
        "memory a stream",
        "CPU an event sent",
    )
    return table(head, rows)


def table(head: Row, rows: Iterable[Row]) -> str:
    lines = [tuple(str(cell) for cell in row) for row in (head, *rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
