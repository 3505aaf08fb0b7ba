#!/usr/bin/env python3
"""Makes a Helm chart of k8s/ in dist/chart/eddyline: `make chart`.

The chart is the suite as `kubectl apply -k k8s/` brings it, with values in place of the registry
and tag of the images, the replicas, and the settings of all services. For all else take the
components and overlays of k8s/.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]

LOCAL = "localhost/eddyline"

#: A value's place while YAML is written; `as_templates` makes an expression of it.
_PLACE = re.compile(r"'?@(text|number):([\w.]+)@'?")

Manifest = dict[str, Any]


def main(registry: str, folder: Path) -> None:
    values, files = chart(render(), registry or LOCAL)
    for name, text in {**files, "values.yaml": HEAD + yaml.safe_dump(values)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    print(folder)


HEAD = "# `settings` has those of every service: docs/operate/settings.md.\n"


def render() -> list[Manifest]:
    command = ["kubectl", "kustomize", "k8s"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def chart(manifests: list[Manifest], registry: str) -> tuple[Manifest, dict[str, str]]:
    """The values, and the text of each file by its path."""
    version = _version()
    values: Manifest = {"image": {"registry": registry, "tag": version}}
    values |= {"replicas": {}, "settings": {}}
    files = {"Chart.yaml": CHART.format(version=version)}
    for manifest in manifests:
        _place(manifest, values)
        kind, metadata = manifest["kind"], manifest["metadata"]
        name = f"{metadata.get('namespace', 'cluster')}-{kind}-{metadata['name']}".lower()
        files[f"templates/{name}.yaml"] = as_templates(yaml.safe_dump(manifest, width=10_000))
    return values, files


CHART = """apiVersion: v2
name: eddyline
description: Small streaming services on which no stream loses its place.
type: application
version: {version}
appVersion: {version}
kubeVersion: ">=1.30.0-0"
"""


def _version() -> str:
    project = (ROOT / "shared" / "streaming" / "pyproject.toml").read_text()
    (version,) = re.findall(r'^version = "(.+)"$', project, re.MULTILINE)
    return str(version)


def _place(manifest: Manifest, values: Manifest) -> None:
    """Puts places of values into a manifest, and its own values into `values`."""
    kind, spec = manifest["kind"], manifest.get("spec", {})
    if kind == "ConfigMap" and manifest["metadata"]["name"].startswith("eddyline-"):
        values["settings"] |= manifest["data"]
        manifest["data"] = {name: f"@text:settings.{name}@" for name in manifest["data"]}
    if kind == "Deployment":
        name = manifest["metadata"]["name"]
        values["replicas"][name] = spec["replicas"]
        spec["replicas"] = f"@number:replicas.{name}@"
    pod = spec.get("template", {}).get("spec", {})
    for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
        if container["image"].startswith(f"{LOCAL}/"):
            name = container["image"].removeprefix(f"{LOCAL}/").partition(":")[0]
            container["image"] = f"@text:image.registry@/{name}:@text:image.tag@"
            # The name of the settings' ConfigMap does not change with them: the pods must.
            annotations = spec["template"]["metadata"].setdefault("annotations", {})
            annotations["eddyline/settings"] = "@text:settings@"


def as_templates(text: str) -> str:
    """YAML with Helm's expressions in place of the places of values."""
    text = text.replace("'@text:settings@'", "{{ toJson .Values.settings | sha256sum }}")
    text = re.sub(
        r"'@text:image\.registry@(.*)@text:image\.tag@'",
        r'"{{ .Values.image.registry }}\1{{ .Values.image.tag }}"',
        text,
    )
    return _PLACE.sub(
        lambda m: f"{{{{ .Values.{m[2]}{' | quote' if m[1] == 'text' else ''} }}}}", text
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "", ROOT / "dist" / "chart" / "eddyline")
