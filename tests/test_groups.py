"""A group's tests run in one process: fixtures that it shares are made once."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import os, pytest

@pytest.mark.xdist_group("{group}")
@pytest.mark.parametrize("number", range(20))
def test_a_process(number):
    with open("{group}", "a") as file:
        print(os.getpid(), file=file)
"""


def test_a_group_runs_in_one_process(tmp_path: Path) -> None:
    for group in ("a", "b"):
        (tmp_path / f"test_{group}.py").write_text(TESTS.format(group=group))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "groups", "-n", "2", "--dist", "loadgroup"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "40 passed" in done.stdout, done.stdout
    processes = [set((tmp_path / group).read_text().split()) for group in ("a", "b")]
    assert [len(found) for found in processes] == [1, 1]
