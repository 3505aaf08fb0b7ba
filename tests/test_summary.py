"""A run names the slowest tests, and counts the slow ones that it left out; failures come last."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(12))
def test_quick(number): pass

def test_fails(): assert False, "the reason"

@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_slow(number): pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_end_of_a_run(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "summary", "-m", "not slow"]
    done = subprocess.run(
        [*command, "-n", workers],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    said = done.stdout
    assert len(re.findall(r"^ +[\d.]+ s  test_some.py::", said, re.MULTILINE)) == 10
    assert (
        said.index("slowest 10") < said.index("the reason") < said.index("slow tests left out: 3")
    )
    assert done.returncode == 1
