"""The package of npm: its files and types, its size, and its hooks in Chromium."""

import gzip
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "shared/javascript"
INSTALLED = ROOT / ".tools/clients/node_modules"
HERE = Path(__file__).parent

pytestmark = [pytest.mark.xdist_group("browser")]

#: Milliseconds.
PATIENCE = 30_000


def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PACKAGE / "package.json").read_text())
    return found


def test_it_has_the_version_of_the_library() -> None:
    text = (ROOT / "shared/streaming/pyproject.toml").read_text()
    assert f'version = "{description()["version"]}"' in text


def test_each_export_has_its_types() -> None:
    for target in description()["exports"].values():
        assert (PACKAGE / target["types"]).is_file()
        code = (PACKAGE / target["default"]).resolve()
        # The client itself is copied when the package is made.
        assert code.is_file() or code.name == "eddyline.js"
    assert "dependencies" not in description()


@pytest.fixture
def installed() -> Path:
    if (INSTALLED / "esbuild").exists():
        return INSTALLED
    message = "npm's esbuild is missing: scripts/install-test-clients"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def project(installed: Path, tool: Callable[..., str], tmp_path: Path) -> Path:
    """A folder in which the package is installed, as npm packs it."""
    made = tmp_path / "made"
    shutil.copytree(PACKAGE, made, ignore=shutil.ignore_patterns("node_modules"))
    client = ROOT / "services/events/eddyline_events/static/eddyline.js"
    shutil.copy(client, made / "eddyline.js")
    packed = json.loads(run(tool("npm"), "pack", "--ignore-scripts", "--json", cwd=made))
    names = {file["path"] for file in packed[0]["files"]}
    assert names == {
        *("package.json", "README.md"),
        *(
            f"{name}.{end}"
            for name in ("eddyline", "store", "react", "vue")
            for end in ("js", "d.ts")
        ),
    }
    modules = tmp_path / "node_modules"
    modules.mkdir()
    for path in installed.iterdir():
        (modules / path.name).symlink_to(path)
    (modules / "@eddyline").mkdir()
    shutil.unpack_archive(made / packed[0]["filename"], tmp_path / "unpacked", "gztar")
    shutil.move(tmp_path / "unpacked/package", modules / "@eddyline/client")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_its_types_find_each_wrong_use(project: Path, tool: Callable[..., str]) -> None:
    shutil.copy(HERE / "user.ts", project)
    strict = ("--strict", "--noEmit", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess")
    kind = ("--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
    compiler = project / "node_modules/typescript/bin/tsc"
    run(tool("node"), compiler, *strict, *kind, "user.ts", cwd=project)


def bundle(project: Path, tool: Callable[..., str], name: str, *options: str) -> str:
    esbuild = project / "node_modules/esbuild/bin/esbuild"
    out = project / "out.js"
    run(
        *(tool("node"), esbuild, name, "--bundle", "--format=esm", f"--outfile={out}"),
        *("--jsx=automatic", '--define:process.env.NODE_ENV="development"', *options),
        cwd=project,
    )
    return out.read_text()


@pytest.mark.slow
def test_it_is_small(project: Path, tool: Callable[..., str]) -> None:
    (project / "all.js").write_text('export * from "@eddyline/client";')
    size = len(gzip.compress(bundle(project, tool, "all.js", "--minify").encode(), 9))
    assert size <= 6 * 1024


@pytest.mark.slow
def test_hooks_follow_a_topic_through_a_restart(
    project: Path, tool: Callable[..., str], launch: Any, chromium: Browser
) -> None:
    shutil.copy(HERE / "page.jsx", project)
    code = bundle(project, tool, "page.jsx")
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    both = [page.locator("#react"), page.locator("#vue")]
    with launch("eddyline_standalone") as first:
        page.goto(f"{first.url}/docs")
        page.add_script_tag(content=code, type="module")
        for hook in both:
            expect(hook).to_have_text(re.compile("^live"), timeout=PATIENCE)
        publish(first.url, {"topic": "hooks", "data": {"n": 1}})
        publish(first.url, {"topic": "hooks", "data": {"n": 2}, "event": "named"})
        for hook in both:
            expect(hook).to_have_text("live message:1 named:2", timeout=PATIENCE)
        # StrictMode mounts twice, and one stream stays.
        count = json.load(urllib.request.urlopen(f"{first.url}/events/subscribers?topic=hooks"))
        assert count["count"] == 2
        assert first.end() == 0
    for hook in both:
        expect(hook).to_have_text(re.compile("^offline"), timeout=PATIENCE)
    with launch("eddyline_standalone", port=first.port) as second:
        for hook in both:
            expect(hook).to_have_text("resumed message:1 named:2 epoch", timeout=PATIENCE)
        publish(second.url, {"topic": "hooks", "data": {"n": 3}})
        for hook in both:
            expect(hook).to_have_text("live message:1 named:2 message:3 epoch", timeout=PATIENCE)
    assert faults == []
    context.close()


def publish(url: str, event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/events", body, headers)).close()
