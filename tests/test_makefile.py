"""The Makefile explains itself, and knows the services without a list."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from rendered import ROOT, VERSION

from eddyline.service.registry import registrations

IMAGES = {*registrations(), "loadtests"}


def make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", text, re.MULTILINE))
    listed = re.findall(r"^  make (\S+) +\S", make("help"), re.MULTILINE)
    assert sorted(listed) == sorted(targets)
    assert "k8s-validate" in listed


def test_every_path_in_it_exists() -> None:
    text = (ROOT / "Makefile").read_text() + (ROOT / "scripts" / "test").read_text()
    folders = "scripts|shared|services|tests|observability|k8s|loadtests|docs"
    paths = re.findall(rf"(?<![\w./-])((?:{folders})/[\w./*-]*\w)", text)
    assert len(paths) > 10
    assert [path for path in paths if not any(ROOT.glob(path))] == []


def test_there_is_an_image_of_each_service() -> None:
    (names,) = re.findall(r"^for name in (.*); do", make("-n", "images"), re.MULTILINE)
    assert set(names.split()) == IMAGES


DOCKER = """#!/bin/sh
echo "$@" >>"$LOG"
"""


@pytest.fixture
def pushed(tmp_path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The commands that Docker was given, and the images that the manifests name then."""
    script = tmp_path / "scripts" / "push-images"
    component = tmp_path / "k8s" / "components" / "images" / "kustomization.yaml"
    for path in (script, component):
        path.parent.mkdir(parents=True)
        path.write_text((ROOT / path.relative_to(tmp_path)).read_text())
    docker, log = tmp_path / "bin" / "docker", tmp_path / "log"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    for program in (docker, script):
        program.chmod(0o755)
    environment = {"PATH": f"{docker.parent}:/usr/bin:/bin", "LOG": str(log)}
    command = [script, "registry.example.org/team", VERSION, *sorted(IMAGES)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return log.read_text().splitlines(), yaml.safe_load(component.read_text())["images"]


def test_a_push_tags_and_names_every_image(
    pushed: tuple[list[str], list[dict[str, str]]],
) -> None:
    commands, images = pushed
    for name in IMAGES:
        remote = f"registry.example.org/team/{name}"
        assert f"tag localhost/eddyline/{name}:{VERSION} {remote}:{VERSION}" in commands
        assert f"push {remote}:{VERSION}" in commands
        named = {"name": f"localhost/eddyline/{name}", "newName": remote, "newTag": VERSION}
        assert named in images


def test_hooks_of_commits_run_where_uv_is_not_on_the_path() -> None:
    [local] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"] for hook in local["hooks"]]
    assert entries
    for entry in entries:
        assert entry.startswith(".venv/bin/") or "PATH=$PATH:.tools/bin exec" in entry
