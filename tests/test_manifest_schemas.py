"""API servers take all that k8s/ renders, and kube-score finds nothing in it.

`make k8s-validate` brings the tools that are missing here.
"""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from rendered import ENTRIES, ROOT, Manifest, render, skip_without, title, tool

pytestmark = pytest.mark.slow

#: The oldest that has the pre-stop wait without a feature gate, and the newest that was tried.
VERSIONS = ("1.30", "1.36")

CRDS = ROOT / ".tools" / "crds"

#: The wishes of kube-score that are not met, by its check and the workload (or all): and why.
EXCEPTIONS = {
    ("container-image-pull-policy", "*"): "a tag is one version for ever: what is there is right",
    ("container-ephemeral-storage-request-and-limit", "*"): "roots are read-only, each emptyDir has"
    " a size limit, and the kubelet rotates what goes to standard output",
    ("deployment-has-host-podantiaffinity", "*"): "topologySpreadConstraints do it, without keeping"
    " the third replica from a cluster of two nodes",
    ("container-security-context-user-group-id", "redis"): "999 is the user of Redis's image",
    ("container-security-context-user-group-id", "logs"): "logs on a node are root's",
    ("statefulset-has-servicename", "redis"): "one pod, asked by its Service's address: no name of"
    " its own is needed",
    ("deployment-replicas", "events"): "where KEDA scales it, by two or more",
    ("deployment-replicas", "loadtest-master"): "Locust has one master",
    ("deployment-strategy", "loadtest-master"): "and never two",
    ("pod-probes", "loadtest-master"): "a restart would lose the figures of the test",
    ("deployment-has-poddisruptionbudget", "loadtest-worker"): "an eviction disturbs a test alone",
}


def is_custom(manifest: Manifest) -> bool:
    group = manifest["apiVersion"].rpartition("/")[0]
    return "." in group and (group.startswith("gateway.") or not group.endswith(".k8s.io"))


def all_rendered() -> list[tuple[str, Manifest]]:
    """Each manifest once, with the first entry that has it."""
    found = {json.dumps(m, sort_keys=True): (e, m) for e in reversed(ENTRIES) for m in render(e)}
    return list(found.values())


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_it(version: str) -> None:
    for entry, manifest in all_rendered():
        if not is_custom(manifest):
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                pytest.fail(f"{entry}: {title(manifest)}: {error.json_path}: {error.message}")


def test_custom_resources_are_what_their_definitions_say() -> None:
    for entry, manifest in all_rendered():
        if is_custom(manifest):
            schema = definitions()[manifest["apiVersion"], manifest["kind"]]
            error = jsonschema.exceptions.best_match(
                jsonschema.Draft202012Validator(schema).iter_errors(manifest)
            )
            if error is not None:
                pytest.fail(f"{entry}: {title(manifest)}: {error.json_path}: {error.message}")


@cache
def definitions() -> dict[tuple[str, str], Any]:
    """Schemas by version and kind; skips the test where they are not here."""
    if not CRDS.is_dir():
        skip_without("the definitions of custom resources")
    found = {}
    for path in CRDS.glob("*.yaml"):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def strict(schema: Any) -> Any:
    """Objects take no field that is not defined, as an API server with strict validation."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: strict(value) for key, value in schema.items()}
    open_ended = "additionalProperties" in schema or schema.get(
        "x-kubernetes-preserve-unknown-fields"
    )
    # `metadata` is said to be an object, and no more.
    if isinstance(schema.get("properties"), dict) and not open_ended:
        made["additionalProperties"] = False
    return made


def test_a_field_that_is_made_up_is_found() -> None:
    manifest = next(m for m in render("k8s") if m["kind"] == "Service")
    manifest = {**manifest, "spec": {**manifest["spec"], "madeUp": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="madeUp"):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_a_made_up_field_of_a_custom_resource_is_found() -> None:
    manifest = next(m for m in render("k8s/tests/keda") if m["kind"] == "ScaledObject")
    manifest = {**manifest, "spec": {**manifest["spec"], "madeUp": 1}}
    with pytest.raises(jsonschema.ValidationError, match="madeUp"):
        jsonschema.validate(manifest, definitions()[manifest["apiVersion"], manifest["kind"]])


def test_kube_score_finds_only_what_is_argued(tmp_path: Path) -> None:
    found: dict[tuple[str, str], str] = {}
    program = tool("kube-score")
    if program is None:
        skip_without("kube-score")
    for entry in ENTRIES:
        path = tmp_path / "rendered.yaml"
        path.write_text(yaml.safe_dump_all(render(entry)))
        # A CPU limit stops the event loop, and all its streams, for parts of each second.
        options = ["--output-format", "json", "--ignore-container-cpu-limit"]
        run = subprocess.run([program, "score", *options, path], capture_output=True, text=True)
        for manifest in json.loads(run.stdout):
            for check in manifest["checks"]:
                if not check["skipped"] and check["grade"] < 10:
                    name = manifest["object_meta"]["name"]
                    texts = [c["summary"] for c in check["comments"] or []]
                    found[check["check"]["id"], name] = (
                        f"{entry}: {check['check']['name']}: {texts}"
                    )
    argued = {*EXCEPTIONS}
    new = {key: text for key, text in found.items() if not {key, (key[0], "*")} & argued}
    assert not new, new
    needed = {key if key in argued else (key[0], "*") for key in found}
    assert needed == argued, "an exception that nothing needs"
