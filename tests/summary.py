"""The end of a run: its slowest tests, then the failures, and the number of slow tests left out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

#: Tests that are named for the time that they took.
NAMED = 10

_LEFT_OUT = pytest.StashKey[int]()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    slow = sum(item.get_closest_marker("slow") is not None for item in items)
    if slow:
        config = items[0].config
        config.stash[_LEFT_OUT] = slow
        if hasattr(config, "workeroutput"):
            config.workeroutput["left_out"] = slow


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each worker of pytest-xdist has collected all tests."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_LEFT_OUT] = output.get("left_out", 0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid] += report.duration  # type: ignore[assignment]
    if len(seconds) > NAMED:
        total = sum(seconds.values())
        terminalreporter.write_sep("=", f"slowest {NAMED} of {total:.0f} test-seconds")
        for test, taken in seconds.most_common(NAMED):
            terminalreporter.write_line(f"{taken:6.1f} s  {test}")
    yield
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"slow tests left out: {left_out} (make test-all runs them)")
