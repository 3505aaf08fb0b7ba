"""The `keda` component: events grows and shrinks with its open streams, and no stream is cut."""

from collections.abc import Iterator

import pytest
from kube import HerdPod, exists, is_ready, kubectl, pods, rolled_out, wait


@pytest.fixture
def scaled(suite: None) -> Iterator[None]:
    """A hundred streams a pod, two pods at least and four at most."""
    if not exists("crd/scaledobjects.keda.sh"):
        pytest.skip("no KEDA: helm install keda kedacore/keda")
    # Else it would be set to one pod for a moment: see k8s/components/keda.
    remembered = "kubectl.kubernetes.io/last-applied-configuration-"
    kubectl("annotate", "deployment/events", "-n", "eddyline", remembered)
    kubectl("apply", "-k", "k8s/tests/keda")
    wait(lambda: exists("hpa/keda-hpa-events", "-n", "eddyline"), "KEDA made an autoscaler")
    yield
    kubectl("delete", "scaledobject/events", "-n", "eddyline")
    kubectl("scale", "deployment/events", "-n", "eddyline", "--replicas=2")
    rolled_out("deployment/events")


def ready() -> int:
    return sum(is_ready(pod) for pod in pods("events"))


def test_events_scales_on_open_streams_out_and_in(scaled: None, token: str) -> None:
    wait(lambda: ready() == 2, "two pods, the least")
    crowd = HerdPod("crowd", token, subscribers=300)
    wait(lambda: ready() >= 3, "a pod more for each hundred streams")
    # These come later, and so are on the pods that will go, too.
    stays = HerdPod("stays", token, subscribers=60)
    wait(lambda: ready() == 4, "another one for them")
    verdict = crowd.stop()
    assert (verdict["state"], verdict["dirty"]) == ("passed", 0), verdict
    wait(lambda: ready() == len(pods("events")) == 2, "back to two pods")
    wait(lambda: stays.status()["reconnects"], "streams of the pods that go were moved")
    stays.flows()
    verdict = stays.stop()
    print(verdict)
    assert (verdict["state"], verdict["dirty"]) == ("passed", 0), verdict
