"""The suite on the cluster of the current `kubectl` context: `make cluster-test`."""

from collections.abc import Iterator

import pytest
from kube import CLIENTS, WORKLOADS, kubectl, rolled_out


@pytest.fixture(scope="session")
def applied() -> Iterator[str]:
    """The dev overlay on a cluster that has nothing of the suite; what applying it said."""
    for namespace in ("millrace", "millrace-logs", CLIENTS):
        kubectl("delete", "namespace", namespace, "--ignore-not-found")
    said = kubectl("apply", "-k", "k8s/overlays/dev")
    yield said
    kubectl("delete", "-k", "k8s/overlays/dev", "--ignore-not-found", "--wait=false")
    kubectl("delete", "namespace", CLIENTS, "--ignore-not-found")


@pytest.fixture(scope="session")
def suite(applied: str) -> None:
    """Everything runs."""
    rolled_out(*WORKLOADS)
    kubectl("create", "namespace", CLIENTS)
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", CLIENTS, restricted)
    files = [f"--from-file=tests/{name}" for name in ("herd.py", "lesson.py")]
    kubectl("create", "configmap", "clients", "-n", CLIENTS, *files)


@pytest.fixture(scope="session")
def token(suite: None) -> str:
    command = ("python", "-m", "streaming.mint", "--subject", "test", "--scope", "*:*")
    return kubectl("exec", "-n", "millrace", "deployment/events", "--", *command).strip()
