"""The verdict at the end of a run: its exit code, and why."""

from typing import Any

#: Milliseconds that 99 of 100 samples must stay below, by name.
LIMITS = {"first event": 3000, "event gap": 3000}

#: What must have been measured at all: a run that read nothing proves nothing.
NEEDED = ("first event", "event gap")


def faults(stats: Any) -> list[str]:
    """Why the run failed; `stats` is Locust's `RequestStats`."""
    found = []
    by_name = {entry.name: entry for entry in stats.entries.values()}
    if stats.total.num_failures:
        found.append(f"{stats.total.num_failures} of {stats.total.num_requests} samples failed")
    for name in NEEDED:
        if name not in by_name or not by_name[name].num_requests:
            found.append(f"nothing was measured of {name!r}")
    for name, limit in LIMITS.items():
        if name in by_name and (p99 := by_name[name].get_response_time_percentile(0.99)) > limit:
            found.append(f"{name}: p99 {p99:.0f} ms, more than {limit} ms")
    return found
