"""All tests of `make test` pass while the cores are busy with something else."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BURNERS = 2

#: Seconds for all tests: ten times as many as they take on an idle machine.
PATIENCE = 3600


@contextmanager
def burners(count: int) -> Iterator[None]:
    """Processes that take all the CPU time that they can get."""
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.enter_context(process)
            stack.callback(process.kill)
        yield


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The tests, without a second chance for those that fail."""
    # Not those of the run that this test is part of.
    ours = ("PYTEST_", "COV_", "COVERAGE_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )


def fails_beside_burners(arguments: Sequence[str]) -> str:
    """The end of the output, where a test failed; else nothing."""
    with burners(BURNERS):
        done = run(*arguments)
    return done.stdout[-20_000:] if done.returncode else ""


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE + 60)
def test_all_tests_pass_on_a_busy_machine() -> None:
    workers = str(3 * (os.cpu_count() or 2))
    assert fails_beside_burners(["-m", "not slow", "-n", workers, "--dist", "loadgroup"]) == ""


@pytest.mark.slow
def test_a_test_that_fails_there_is_seen(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_a(): assert 0\n\ndef test_b(): pass\n")
    file = str(tmp_path / "test_a.py")
    assert "1 failed, 1 passed" in fails_beside_burners([file])
    assert fails_beside_burners([f"{file}::test_b"]) == ""
