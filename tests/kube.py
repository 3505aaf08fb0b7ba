"""For tests on a cluster: `kubectl`, and clients that run as pods in a namespace of their own.

Any pod of any cluster reaches the same as such a client.
"""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from rendered import ROOT, of_kind, render

from eddyline.testing import wait_until

CLIENTS = "eddyline-test"

#: The kinds of objects that are replaced pod by pod.
ROLLED_OUT = ("StatefulSet", "Deployment", "DaemonSet")

#: Seconds in which the cluster must have done its work.
PATIENCE = 240.0


def kubectl(*arguments: str, input: str | None = None, fails: bool | None = False) -> str:
    """Its output; a command that fails fails the test, with its output, unless it should (True)
    or may (None).
    """
    done = subprocess.run(
        ["kubectl", *arguments],
        input=input,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    if fails is not None and (done.returncode != 0) is not fails:
        pytest.fail(f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def wait(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    try:
        return wait_until(condition, seconds)
    except TimeoutError:
        pytest.fail(f"not in {seconds:.0f} s: {what}\n{situation()}")


def situation() -> str:
    """The first things to look at."""
    pods = kubectl("get", "pods", "-A", "-o", "wide")
    sort, only = "--sort-by=.lastTimestamp", "--field-selector=type!=Normal"
    told = kubectl("get", "events", "-A", sort, only).splitlines()
    return "\n".join([pods, *told[-20:]])


def get(*arguments: str) -> Any:
    return json.loads(kubectl("get", "-o", "json", *arguments))


def exists(*arguments: str) -> bool:
    """Whether the cluster has such an object, or such a kind at all."""
    done = subprocess.run(["kubectl", "get", *arguments], capture_output=True, timeout=PATIENCE)
    return done.returncode == 0


def pods(name: str, namespace: str = "eddyline") -> list[dict[str, Any]]:
    """The pods of a service that are not about to go."""
    found = get("pods", "-n", namespace, "-l", f"app.kubernetes.io/name={name}")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def rolled_out(*names: str) -> None:
    for name in names:
        namespace = "eddyline-logs" if name == "daemonset/logs" else "eddyline"
        kubectl("rollout", "status", name, "-n", namespace, f"--timeout={PATIENCE:.0f}s")


def workloads(entry: str) -> list[str]:
    """All that `kubectl rollout status` can wait for."""
    found = of_kind(render(entry), *ROLLED_OUT)
    return [f"{each['kind'].lower()}/{each['metadata']['name']}" for each in found]


def image() -> str:
    """The image of events, as the cluster has it."""
    template = get("deployment/events", "-n", "eddyline")["spec"]["template"]
    return str(template["spec"]["containers"][0]["image"])


class Client:
    """A pod that runs Python in the image of events, which has the packages."""

    def __init__(self, name: str, *command: str, **variables: str) -> None:
        self.name = name
        container = {
            "name": "client",
            "image": image(),
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", *command],
            "env": [{"name": key, "value": value} for key, value in variables.items()],
            "volumeMounts": [{"name": "clients", "mountPath": "/clients"}],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        spec = {
            "containers": [container],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "clients", "configMap": {"name": "clients"}}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        kubectl("apply", "-n", CLIENTS, "-f", "-", input=json.dumps(pod))

    @property
    def phase(self) -> str:
        return str(get("pod", self.name, "-n", CLIENTS)["status"]["phase"])

    def output(self, *arguments: str) -> str:
        return kubectl("logs", self.name, "-n", CLIENTS, *arguments)

    def result(self, seconds: float = PATIENCE) -> str:
        """Waits for its end, which must be a good one; returns its output."""
        phase = wait(
            lambda: (p := self.phase) in ("Succeeded", "Failed") and p,
            f"{self.name} ended",
            seconds,
        )
        output = self.output()
        assert phase == "Succeeded", output[-3000:]
        return output

    def delete(self) -> None:
        kubectl("delete", "pod", self.name, "-n", CLIENTS, "--ignore-not-found")


class HerdPod(Client):
    """tests/herd.py in a pod: numbered events, and subscribers that resume."""

    def __init__(self, name: str, token: str, subscribers: int, rate: int = 10) -> None:
        command = ("/clients/herd.py", "http://events.eddyline", "--topic", name)
        numbers = ("--subscribers", str(subscribers), "--rate", str(rate))
        super().__init__(name, *command, *numbers, EDDYLINE_TOKEN=token)
        self.flows()

    def status(self) -> dict[str, Any]:
        lines = self.output("--tail=1").splitlines() if self.phase != "Pending" else []
        return dict(json.loads(lines[-1])) if lines else {"state": "starting"}

    def flows(self) -> dict[str, Any]:
        """Waits until all are connected, and everyone has had a few more events."""
        before = self.status().get("published", 0)

        def flowing() -> dict[str, Any] | None:
            now = self.status()
            if now["state"] == "failed":
                pytest.fail(str(now))
            all_there = now.get("connected", 0) == now.get("subscribers")
            return now if all_there and now["published"] >= before + 5 else None

        return dict(wait(flowing, f"all of {self.name} get events: {self.status()}"))

    def stop(self) -> dict[str, Any]:
        """The verdict, once everyone has everything."""
        kill = "import os; os.kill(1, 15)"
        kubectl("exec", self.name, "-n", CLIENTS, "--", "python", "-c", kill, fails=None)
        return dict(json.loads(self.result().splitlines()[-1]))
