"""The manifests as `kubectl apply -k` would send them."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

ROOT = Path(__file__).parents[1]

_PROJECT = tomllib.loads((ROOT / "shared" / "streaming" / "pyproject.toml").read_text())["project"]

#: The version of the suite, from the one place that has it.
VERSION: str = _PROJECT["version"]

Manifest = dict[str, Any]

#: The kustomizations for users, and those for tests.
ENTRIES = [
    "k8s",
    *sorted(
        str(path.parent.relative_to(ROOT))
        for folder in ("overlays", "tests")
        for path in (ROOT / "k8s" / folder).glob("*/kustomization.yaml")
    ),
]
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


def tool(*names: str) -> str | None:
    """The path of the first of these programs that there is."""
    path = f"{os.environ['PATH']}:{ROOT / '.tools' / 'bin'}"
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def skip_without(what: str) -> NoReturn:
    pytest.skip(f"{what} is missing: make k8s-validate installs it where it can")


@cache
def render(folder: str | Path) -> list[Manifest]:
    """The objects of a kustomization; fails where it does not build, or warns."""
    program = tool("kubectl", "kustomize")
    if program is None:
        assert not os.environ.get("CI"), "CI needs kubectl or kustomize"
        skip_without("kubectl or kustomize")
    verb = "kustomize" if Path(program).name == "kubectl" else "build"
    run = subprocess.run([program, verb, folder], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "deprecated" not in run.stderr.lower(), run.stderr
    return [manifest for manifest in yaml.safe_load_all(run.stdout) if manifest]


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def title(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def labels(manifest: Manifest) -> dict[str, str]:
    return dict(manifest["metadata"].get("labels", {}))


def namespace(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", ""))


def pod(workload: Manifest) -> Manifest:
    """The pod's spec."""
    return dict(workload["spec"]["template"]["spec"])


def pod_labels(workload: Manifest) -> dict[str, str]:
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def containers(workload: Manifest) -> Iterator[Manifest]:
    yield from pod(workload).get("initContainers", [])
    yield from pod(workload)["containers"]


def services(manifests: list[Manifest]) -> list[Manifest]:
    """The workloads that are services of the suite."""
    return [
        workload
        for workload in of_kind(manifests, *WORKLOADS)
        if labels(workload).get("app.kubernetes.io/component") == "service"
    ]


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


#: A value for each key of a Secret: settings take values of their form.
SECRETS = {"redis-url": "redis://redis.example.org:6379/0"}


def environment(manifests: list[Manifest], workload: Manifest) -> dict[str, str]:
    """The environment of the first container of its pods, with stand-ins for secrets."""
    found: dict[str, str] = {}
    maps = {(namespace(m), m["metadata"]["name"]): m for m in of_kind(manifests, "ConfigMap")}
    container = pod(workload)["containers"][0]
    for source in container.get("envFrom", []):
        found |= maps[namespace(workload), source["configMapRef"]["name"]]["data"]
    for variable in container.get("env", []):
        if "valueFrom" in variable:
            key = variable["valueFrom"]["secretKeyRef"]["key"]
            found[variable["name"]] = SECRETS.get(key, "0123456789abcdef" * 4)
        else:
            value = str(variable["value"])
            for name, known in found.items():
                value = value.replace(f"$({name})", known)
            found[variable["name"]] = value
    return found
