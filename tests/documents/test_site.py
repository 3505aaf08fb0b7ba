"""The site of the documents: it is built without a warning, and asks no other server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
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
        routes = re.findall(r"^## `[A-Z]+ (\S+)`", reference[f"http/{name}.md"], re.M)
        patterns = [re.sub(r"\{[^}]*\}", ".+", route) for route in routes]
        assert any(re.fullmatch(pattern, service.path) for pattern in patterns), service.path
        assert "## `GET /livez`" in reference[f"http/{name}.md"]


def test_the_reference_has_each_seam(reference: dict[str, str]) -> None:
    seams = [
        *ROOT.glob("shared/streaming/eddyline/*/base.py"),
        *ROOT.glob("services/*/eddyline_*/**/base.py"),
    ]
    assert len(seams) > 5
    assert reference["seams.md"].count(".. automodule:: ") == len(seams)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built without a warning."""
    work = tmp_path_factory.mktemp("docs")
    command = [sys.executable, str(SITE / "build.py"), str(work)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{work}/site/index.html\n"
    return work / "site"


@pytest.mark.slow
def test_the_site_asks_nobody(site: Path) -> None:
    for page in site.glob("**/*.html"):
        loads = r'<(?:script|link|img)[^>]*?(?:src|href)="(?:https?:)?//'
        assert re.findall(loads, page.read_text()) == [], page


@pytest.mark.slow
def test_the_site_has_the_runbook_that_each_alert_links_to(site: Path) -> None:
    groups = yaml.safe_load((ROOT / "observability" / "alerts.yml").read_text())["groups"]
    links = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]]
    assert len(links) > 10
    for link in map(urlsplit, links):
        assert f'id="{link.fragment}"' in (site / link.path.lstrip("/")).read_text(), link
