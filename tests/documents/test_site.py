"""The site of the documents: it is built without a warning, and asks no other server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents.blocks import ROOT

from eddyline.__main__ import COMMANDS
from eddyline.service.registry import registrations
from eddyline.telemetry import metrics

SITE = ROOT / "docs" / "site"


@pytest.fixture(scope="module")
def reference() -> Iterator[dict[str, str]]:
    """The text of each generated page, by its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SITE))
        import reference

        yield reference.pages()


def test_the_reference_has_each_setting(reference: dict[str, str]) -> None:
    for service in registrations().values():
        for name in service.settings.model_fields:
            assert re.search(
                rf"^\| `[A-Z]+_{name.upper()}` \| .* \| .+ \|$", reference["settings.md"], re.M
            )


def test_the_reference_has_each_metric(reference: dict[str, str]) -> None:
    names = re.findall(r"^# TYPE (eddyline_\w+) ", metrics.exposition().decode(), re.MULTILINE)
    listed = re.findall(r"^\| `(eddyline_\w+)` \|", reference["metrics.md"], re.MULTILINE)
    assert sorted(listed) == sorted(name for name in names if not name.endswith("_created"))


def test_the_reference_has_each_command_with_its_options(reference: dict[str, str]) -> None:
    assert all(f"## `eddyline {name}`" in reference["command.md"] for name in COMMANDS)
    assert {"--workers", "--expires"} <= set(
        re.findall(r"^  (--\w+)", reference["command.md"], re.M)
    )


def test_the_reference_has_the_routes_of_each_service(reference: dict[str, str]) -> None:
    for name, service in registrations().items():
        assert f"{service.path}`" in reference[f"http/{name}.md"]
        assert "## `GET /livez`" in reference[f"http/{name}.md"]


def test_the_reference_has_each_seam(reference: dict[str, str]) -> None:
    seams = [
        *ROOT.glob("shared/streaming/eddyline/*/base.py"),
        *ROOT.glob("services/*/eddyline_*/**/base.py"),
    ]
    assert len(seams) > 5
    assert reference["seams.md"].count(".. automodule:: ") == len(seams)


@pytest.mark.slow
def test_it_is_built_without_a_warning_and_asks_nobody(tmp_path: Path) -> None:
    command = [sys.executable, str(SITE / "build.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/site/index.html\n"
    assert done.stderr == ""
    for page in (tmp_path / "site").glob("**/*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]*?(?:src|href)="(?:https?:)?//', page.read_text()
        )
        assert loaded == [], page
