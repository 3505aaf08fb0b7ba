"""The Helm chart: with its own values it is the suite that `kubectl apply -k k8s/` brings.

Where helm is, it renders the chart; a small renderer of ours does in any case. That knows the few
expressions which the chart may hold, and fails at any other.
"""

import copy
import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendered import ROOT, VERSION, Manifest, containers, of_kind, pod, render, title, tool

SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "make_chart.py"))

_EXPRESSION = re.compile(r"\{\{ (.*?) \}\}")


def made(registry: str = "localhost/eddyline") -> tuple[Manifest, dict[str, str]]:
    values, files = SCRIPT["chart"](copy.deepcopy(render("k8s")), registry)
    return values, files


def templated(values: Manifest, files: dict[str, str]) -> list[Manifest]:
    """As Helm renders it, for the expressions that a chart of ours may hold."""

    def evaluate(match: "re.Match[str]") -> str:
        if match[1] == "toJson .Values.settings | sha256sum":
            return json.dumps(json.dumps(values["settings"], sort_keys=True))
        found = re.fullmatch(r"\.Values\.([\w.]+)( \| quote)?", match[1])
        assert found is not None, f"no expression of ours: {match[1]}"
        value: Any = values
        for part in found[1].split("."):
            value = value[part]
        return json.dumps(str(value)) if found[2] else str(value)

    texts = [text for name, text in files.items() if name.startswith("templates/")]
    return [yaml.safe_load(_EXPRESSION.sub(evaluate, text)) for text in texts]


def without_checksum(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The objects by their titles, without the annotation that the chart alone has."""
    for manifest in manifests:
        metadata = manifest.get("spec", {}).get("template", {}).get("metadata", {})
        annotations = metadata.get("annotations", {})
        if annotations.pop("eddyline/settings", None) and not annotations:
            del metadata["annotations"]
    return {title(manifest): manifest for manifest in manifests}


def test_with_its_own_values_it_is_the_suite() -> None:
    expected = {title(manifest): manifest for manifest in render("k8s")}
    assert without_checksum(templated(*made())) == expected


@pytest.mark.skipif(tool("helm") is None, reason="helm is missing: https://helm.sh")
def test_helm_renders_the_same(tmp_path: Path) -> None:
    values, files = made()
    for name, text in {**files, "values.yaml": yaml.safe_dump(values)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    helm = str(tool("helm"))
    subprocess.run([helm, "lint", str(tmp_path)], check=True, stdout=subprocess.PIPE)
    command = [helm, "template", "--kube-version", "1.36", "eddyline", str(tmp_path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]
    assert without_checksum(found) == {title(manifest): manifest for manifest in render("k8s")}


def test_values_go_where_they_belong() -> None:
    values, files = made("registry.example/team")
    assert values["image"] == {"registry": "registry.example/team", "tag": VERSION}
    values["replicas"]["events"] = 5
    values["settings"]["EDDYLINE_LOG_LEVEL"] = "it's: # odd"
    before, after = made()[0], values
    assert before["settings"].keys() == after["settings"].keys()
    manifests = templated(values, files)
    [events] = [m for m in of_kind(manifests, "Deployment") if m["metadata"]["name"] == "events"]
    assert events["spec"]["replicas"] == 5
    assert pod(events)["containers"][0]["image"] == f"registry.example/team/events:{VERSION}"
    for workload in of_kind(manifests, "Deployment", "DaemonSet", "Job"):
        assert not any(c["image"].startswith("localhost/") for c in containers(workload))
    maps = [m for m in of_kind(manifests, "ConfigMap") if "EDDYLINE_LOG_LEVEL" in m["data"]]
    assert {m["metadata"]["namespace"] for m in maps} == {"eddyline", "eddyline-logs"}
    assert {m["data"]["EDDYLINE_LOG_LEVEL"] for m in maps} == {"it's: # odd"}


def test_pods_are_replaced_when_a_setting_is_another() -> None:
    values, files = made()
    [before] = [m for m in templated(values, files) if title(m) == "Deployment eddyline/events"]
    values["settings"]["EDDYLINE_LOG_LEVEL"] = "debug"
    [after] = [m for m in templated(values, files) if title(m) == "Deployment eddyline/events"]
    assert before["spec"]["template"] != after["spec"]["template"]


def test_the_command_writes_it(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is missing: scripts/install-kubernetes-tools")
    SCRIPT["main"]("", tmp_path)
    assert {"Chart.yaml", "values.yaml", "templates"} == {path.name for path in tmp_path.iterdir()}
    assert yaml.safe_load((tmp_path / "values.yaml").read_text()) == made()[0]
