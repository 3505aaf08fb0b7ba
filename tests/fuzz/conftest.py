"""The suite under requests that nobody has thought of: for FUZZ_SECONDS, from FUZZ_SEED on."""

import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from eddyline.service.registry import registrations

#: For all tests of this folder together.
SECONDS = float(os.environ.get("FUZZ_SECONDS") or 30)
SEED = int(os.environ.get("FUZZ_SEED") or 0)

#: One test for each OpenAPI document, and one for heads.
SHARE = SECONDS / (len(registrations()) + 1)

#: Bytes by which the suite may grow: demo data, caches and journals fill once.
GROWTH = 150e6


@dataclass
class Suite:
    """All services in one process."""

    url: str
    port: int
    pid: int

    def memory(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError(self.pid)

    def open_streams(self) -> float:
        with urllib.request.urlopen(self.url + "/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(OPEN))


OPEN = "eddyline_streams_open{"


@pytest.fixture(scope="module")
def suite(launch: Any) -> Iterator[Suite]:
    """It is as large afterwards as it was, and no stream is left over."""
    quick = {"EDDYLINE_HEAD_TIMEOUT": "1", "EDDYLINE_BODY_TIMEOUT": "1"}
    with launch("eddyline_standalone", **quick) as served:
        suite = Suite(served.url, served.port, served.pid)
        before = suite.memory()
        yield suite
        until = time.monotonic() + 60
        while suite.open_streams() and time.monotonic() < until:
            time.sleep(0.1)  # sleep: between two looks at the streams
        assert suite.open_streams() == 0
        assert suite.memory() - before < GROWTH
        assert "Traceback" not in served.output()


def try_examples(
    cases: list[SearchStrategy[Any]], attempt: Callable[[Any], None], examples: int = 3
) -> int:
    """Tries examples of all cases in turn until this test's share of time is over."""
    tried, rounds, until = 0, 0, time.monotonic() + SHARE

    def counted(case: Any) -> None:
        nonlocal tried
        tried += 1
        attempt(case)

    while not rounds or time.monotonic() < until:
        for case in cases:
            if rounds and time.monotonic() > until:
                break
            run = seed(SEED + rounds)(given(case)(counted))
            settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            )(run)()
        rounds += 1
    return tried
