"""The suite on the cluster of the current `kubectl` context: `make cluster-test`."""

from collections.abc import Iterator

import pytest
from kube import CLIENTS, exists, kubectl, rolled_out, workloads

NAMESPACES = ("eddyline", "eddyline-logs")

#: By this a namespace is known for one that a test made: no other is ever deleted.
OURS = "eddyline/test=true"


def leave_nothing() -> None:
    """Of a run that was killed. Somebody's suite is not touched."""
    kubectl("delete", "namespace", "-l", OURS)
    if there := [name for name in NAMESPACES if exists(f"namespace/{name}")]:
        pytest.exit(f"this cluster has namespace {there[0]}: the test needs one without", 1)


@pytest.fixture(scope="session")
def applied() -> Iterator[str]:
    """The dev overlay on a cluster that has nothing of the suite; the output of applying it."""
    leave_nothing()
    said = kubectl("apply", "-k", "k8s/overlays/dev")
    kubectl("label", "namespace", *NAMESPACES, OURS)
    yield said
    kubectl("delete", "-k", "k8s/overlays/dev", "--ignore-not-found", "--wait=false")
    kubectl("delete", "namespace", CLIENTS, "--ignore-not-found")


@pytest.fixture(scope="session")
def suite(applied: str) -> None:
    """Everything runs."""
    rolled_out(*workloads("k8s/overlays/dev"))
    kubectl("create", "namespace", CLIENTS)
    kubectl("label", "namespace", CLIENTS, OURS)
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", CLIENTS, restricted)
    files = [f"--from-file=tests/{name}" for name in ("herd.py", "lesson.py")]
    kubectl("create", "configmap", "clients", "-n", CLIENTS, *files)


@pytest.fixture(scope="session")
def token(suite: None) -> str:
    command = ("eddyline", "token", "--subject", "test", "--scope", "*:*")
    return kubectl("exec", "-n", "eddyline", "deployment/events", "--", *command).strip()
