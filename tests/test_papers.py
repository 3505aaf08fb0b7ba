"""The papers of a public project: workflows, owners, templates, the unit of systemd."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendered import ROOT

from eddyline.service.registry import registrations

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
UNIT = ROOT / "deploy" / "eddyline@.service"


def load(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text()))


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in load(workflow)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
        ("vendor.github-issue-forms", sorted((GITHUB / "ISSUE_TEMPLATE").glob("[bi][!o]*.yml"))),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
    ],
)
def test_a_file_of_github_keeps_its_schema(schema: str, files: list[Path]) -> None:
    assert files
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        schema,
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not here: go install")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(["actionlint", *map(str, WORKFLOWS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_rights_are_few(workflow: Path) -> None:
    """A tag can be moved by the owner of an action, and by a thief of its account."""
    pinned = {}
    for line in workflow.read_text().splitlines():
        if (used := re.search(r"uses: (\S+)(.*)", line)) is not None:
            action = re.fullmatch(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})", used[1])
            assert action is not None, line
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", used[2]), line
            assert pinned.setdefault(action[1], action[2]) == action[2]
    assert pinned
    assert load(workflow)["permissions"] == {"contents": "read"}
    for step in steps(workflow):
        if "actions/checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
        # An expression in a script is code, and its value may be a stranger's branch.
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_commands_that_exist(workflow: Path) -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for step in steps(workflow):
        for target in re.findall(r"^make ([a-z-]+)", step.get("run", ""), re.MULTILINE):
            assert target in targets
        for program in re.findall(r"(?:scripts|\.ci)/[\w-]+", step.get("run", "")):
            assert (ROOT / program).exists(), program


def test_a_release_has_each_image_with_its_parts_and_its_origin() -> None:
    jobs = load(GITHUB / "workflows" / "release.yml")["jobs"]
    images = jobs["images"]
    assert set(images["strategy"]["matrix"]["service"]) == {*registrations(), "loadtests"}
    [build] = [s["with"] for s in images["steps"] if "build-push-action" in s.get("uses", "")]
    assert (build["sbom"], build["provenance"], build["push"]) == (True, "mode=max", True)
    # Only this job may ask PyPI for a token, and no secret is kept.
    assert jobs["pypi"]["permissions"] == {"id-token": "write"}
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == [
        "pypi"
    ]
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text()


def test_owners_are_of_paths_that_exist() -> None:
    lines = (GITHUB / "CODEOWNERS").read_text().splitlines()
    for path, *owners in (line.split() for line in lines if line and line[0] != "#"):
        assert path == "*" or (ROOT / path.strip("/")).exists(), path
        assert all(owner.startswith("@") for owner in owners)
        assert owners


def test_the_devcontainer_prepares_itself() -> None:
    described = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert described["postCreateCommand"] == "sudo scripts/install-test-tools && make setup"
    base = re.findall(r"BASE_IMAGE=python:([\d.]+)", (ROOT / "Dockerfile").read_text())
    assert described["image"].endswith(f":{base[0]}")


def test_systemd_takes_the_unit(tool: Callable[..., str], tmp_path: Path) -> None:
    program = tmp_path / "eddyline"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = UNIT.read_text().replace("/opt/eddyline/bin/eddyline", str(program))
    (tmp_path / UNIT.name).write_text(text)
    instance = tmp_path / UNIT.name.replace("@", "@events")
    instance.write_text(text)
    command = [tool("systemd-analyze", "systemd"), "verify", "--man=no", str(instance)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_waits_longer_than_gunicorn() -> None:
    compose = load(ROOT / "docker-compose.yml")["services"]["events"]
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert f"{seconds}s" == compose["stop_grace_period"]
    assert f"LimitNOFILE={compose['ulimits']['nofile'].split('-')[1][:-1]}" in UNIT.read_text()


def test_contributings_commands_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    [block] = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in block.splitlines():
        program, *arguments = line.split("#")[0].split()
        if program == "make":
            assert set(arguments) <= set(targets)
        elif program == "scripts/test":
            assert (ROOT / arguments[0]).exists()
            collected = [sys.executable, "-m", "pytest", "-q", "--collect-only", *arguments]
            done = subprocess.run(collected, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout
