"""`kubectl delete -k` leaves nothing. The last of the cluster's tests."""

from kube import get, kubectl


def test_nothing_is_left_when_it_is_deleted(suite: None) -> None:
    kubectl("delete", "-k", "k8s/overlays/dev", "--ignore-not-found", "--timeout=180s")
    everywhere = "namespaces,clusterroles,clusterrolebindings,persistentvolumes"
    assert not get(everywhere, "-l", "app.kubernetes.io/part-of=eddyline")["items"]
    names = {item["metadata"]["name"] for item in get("namespaces")["items"]}
    assert not names & {"eddyline", "eddyline-logs"}
