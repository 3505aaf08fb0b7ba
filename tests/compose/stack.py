"""The shipped compose file as a project of its own: free ports, and nothing is left behind."""

import json
import os
import resource
import shlex
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from copied import copy_tree

from eddyline.service.registry import registrations
from eddyline.testing import free_port, wait_until

PORTS = (
    "HTTPS_PORT",
    "HTTP_PORT",
    "GRAFANA_PORT",
    "PROMETHEUS_PORT",
    "ALERTMANAGER_PORT",
    "LOCUST_PORT",
)

#: The parts that an image of Debian's packages lacks of the one that it stands for.
STANDINS = {
    "redis": ("redis-server", "install -d -o 999 -g 999 /data"),
    "caddy": ("caddy,wget", "true"),
    "prom/alertmanager": (
        "prometheus-alertmanager,wget",
        "install -d -o 65534 -g 65534 /alertmanager"
        " && ln -s prometheus-alertmanager /usr/bin/alertmanager",
    ),
    "prom/prometheus": ("prometheus", "install -d -o 65534 -g 65534 /prometheus"),
}

#: The label of one that lacks nothing any more.
COMPLETE = "eddyline.standin"

#: Drains take 20 s by default. It is the one thing that is not as it is shipped.
OVERRIDE = {
    "services": {name: {"environment": {"EDDYLINE_DRAIN_WINDOW": "4"}} for name in registrations()}
}


def run(*command: str, seconds: float = 300, **options: Any) -> str:
    """Its output, also where it fails."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        **options,
    )
    assert done.returncode == 0, f"{shlex.join(command)}:\n{done.stdout[-8000:]}"
    return done.stdout


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    return wait_until(condition, seconds)


@dataclass
class Stack:
    folder: Path
    name: str = "eddyline-compose-test"
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.variables = {
            "COMPOSE_PROJECT_NAME": self.name,
            "TAG": "compose-test",
            "NOFILE": str(min(65536, most)),
            **{port: str(free_port()) for port in PORTS},
        }
        copy_tree(self.folder)
        (self.folder / "docker-compose.override.yml").write_text(yaml.safe_dump(OVERRIDE))

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | self.variables

    def run(self, *command: str, **options: Any) -> str:
        return run(*command, cwd=self.folder, env=self.environment, **options)

    def compose(self, *arguments: str, **options: Any) -> str:
        return self.run("docker", "compose", "--profile", "loadtest", *arguments, **options)

    def inside(self, service: str, *command: str, index: int = 1) -> str:
        return self.compose("exec", "-T", "--index", str(index), service, *command)

    def url(self, port: str, path: str) -> str:
        return f"http://127.0.0.1:{self.variables[port]}{path}"

    def get(self, port: str, path: str) -> Any:
        with urllib.request.urlopen(self.url(port, path), timeout=10) as answer:
            return json.load(answer)

    def post(self, port: str, path: str, form: bytes) -> None:
        urllib.request.urlopen(self.url(port, path), form, timeout=10).close()

    def containers(self) -> list[dict[str, Any]]:
        """Those of `docker compose ps`, the exited one too."""
        lines = self.run("docker", "compose", "ps", "--all", "--format", "json").splitlines()
        found = [json.loads(line) for line in lines if line.startswith(("{", "["))]
        # Older Composes print one list.
        return found[0] if found and isinstance(found[0], list) else found

    def config(self) -> dict[str, Any]:
        text = self.compose("config", "--format", "json")
        return dict(json.loads(text[text.index("{") :]))

    def make_standins(self) -> None:
        """Where none can be pulled: STANDIN IMAGE PACKAGES COMMAND makes Docker know one."""
        if not (standin := os.environ.get("STANDIN")):
            return
        for service in self.config()["services"].values():
            image = service["image"]
            kind = image.partition(":")[0]
            if kind == "grafana/grafana" and not has_image(image):
                base = os.environ.get("BASE_IMAGE") or "python:3.13-slim"
                folder = str(Path(__file__).parent / "grafana")
                run("docker", "build", "--build-arg", f"BASE_IMAGE={base}", "-t", image, folder)
            if kind not in STANDINS or has_image(image, COMPLETE):
                continue
            packages, lacking = STANDINS[kind]
            if not has_image(image):
                run(*shlex.split(standin), image, packages, json.dumps([packages.split(",")[0]]))
                assert has_image(image), f"STANDIN={standin} made no {image}"
            dockerfile = f"FROM {image}\nRUN {lacking}\nLABEL {COMPLETE}=1\n"
            run("docker", "build", "-t", image, "-", input=dockerfile)

    def remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "1", "--rmi", "local")
        images = self.run(
            "docker", "images", "-q", "--filter", "reference=localhost/eddyline/*:compose-test"
        )
        if images.split():
            self.run("docker", "image", "rm", "--force", *set(images.split()))


def has_image(image: str, label: str = "") -> bool:
    filters = ["--filter", f"reference={image}", *(["--filter", f"label={label}"] if label else [])]
    return bool(run("docker", "images", "-q", *filters).strip())
