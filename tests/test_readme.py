"""The README's commands keep its promises, as they are printed."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rendered import ROOT

#: Leaves an endless stream after two seconds.
CURL = """#!/bin/sh
exec {curl} --max-time 2 "$@"
"""


@pytest.fixture
def shell(tool: Callable[..., str], tmp_path: Path) -> Callable[[str], str]:
    """Runs commands with a `curl` that ends by itself; returns their output."""
    (tmp_path / "curl").write_text(CURL.format(curl=tool("curl")))
    (tmp_path / "curl").chmod(0o755)

    def run(commands: str) -> str:
        script = f"PATH={tmp_path}:$PATH\n{commands}"
        done = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 28, done.stdout  # the last command is a stream, which was left
        return done.stdout

    return run


def test_the_example_resumes_after_the_event_that_it_published(
    launch,
    shell: Callable[[str], str],  # type: ignore[no-untyped-def]
) -> None:
    text = (ROOT / "README.md").read_text()
    (commands,) = re.findall(r"come back to one:\n\n```sh\n(.*?)```", text, re.DOTALL)
    with launch("eddyline_standalone.serve", "events") as served:
        said = shell(commands.replace("http://127.0.0.1:8000", served.url))
    assert re.findall(r"^data: (.*)$", said, re.MULTILINE) == ['{"id":8}']
    assert "eddyline.reset" not in said
