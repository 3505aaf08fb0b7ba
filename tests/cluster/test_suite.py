"""The dev overlay on a real cluster: the suite's promises, while the cluster does its work."""

import json
from typing import Any

from kube import (
    CLIENTS,
    Client,
    HerdPod,
    get,
    image,
    is_ready,
    kubectl,
    pods,
    rolled_out,
    wait,
)
from rendered import namespace, render, services

SUBSCRIBERS = 500

#: The namespace of each service, by its name.
SERVICES = {each["metadata"]["name"]: namespace(each) for each in services(render("k8s"))}


def test_it_is_admitted_without_a_warning(applied: str) -> None:
    assert "warning" not in applied.lower(), applied
    assert "violate" not in applied.lower(), applied


def test_everything_gets_ready(suite: None) -> None:
    for name, home in SERVICES.items():
        assert all(is_ready(pod) for pod in pods(name, home)), name


def test_the_lessons_urls_work(token: str) -> None:
    urls = [f"{name}=http://{name}.{home}" for name, home in SERVICES.items()]
    client = Client("lesson", "/clients/lesson.py", *urls, EDDYLINE_TOKEN=token)
    print(client.result())


def test_no_stream_loses_its_place(token: str) -> None:
    """A rolling update, a deleted pod and a restarted Redis, under 500 streams."""
    herd = HerdPod("herd", token, SUBSCRIBERS)
    assert herd.flows()["connected"] == SUBSCRIBERS

    kubectl("rollout", "restart", "deployment/events", "-n", "eddyline")
    rolled_out("deployment/events")
    wait(lambda: herd.status()["reconnects"] >= SUBSCRIBERS, "each stream was moved")
    assert herd.flows()["dirty"] == 0, "a stream was cut, not ended"

    victim = pods("events")[0]["metadata"]["name"]
    kubectl("delete", "pod", victim, "-n", "eddyline", "--force", "--grace-period=0")
    rolled_out("deployment/events")
    herd.flows()

    restarts = redis_restarts()
    # The container may be gone before the command in it has ended.
    kubectl("exec", "-n", "eddyline", "redis-0", "--", "redis-cli", "shutdown", fails=None)
    wait(lambda: redis_restarts() > restarts, "Redis was restarted")
    rolled_out("statefulset/redis")
    herd.flows()

    verdict = herd.stop()
    print(verdict)
    assert verdict["state"] == "passed"
    assert (verdict["lost"], verdict["twice"], verdict["disorder"]) == (0, 0, 0)
    assert not verdict["resets"]
    herd.delete()


def redis_restarts() -> int:
    return int(pods("redis")[0]["status"]["containerStatuses"][0]["restartCount"])


COUNTER = """
import itertools, time
from pathlib import Path
path = Path("/state/count")
start = int(path.read_text()) if path.exists() else 0
for count in itertools.count(start + 1):
    path.write_text(str(count))
    print(count, flush=True)
    time.sleep(0.05)  # sleep: the pace of a program in a pod
    if count % 100 == 0:
        raise SystemExit(1)
"""

FOLLOWER = """
import json, os, sys, urllib.request
headers = {"Authorization": "Bearer " + os.environ["EDDYLINE_TOKEN"]}
request = urllib.request.Request(sys.argv[1], headers=headers)
for line in urllib.request.urlopen(request, timeout=60):
    if line.startswith(b"data:"):
        value = json.loads(line[5:])
        if "line" in value:
            print(value["line"], flush=True)
            if int(value["line"]) >= 250:
                break
"""


def test_a_log_is_followed_through_its_pods_restart(token: str) -> None:
    """The container ends after each 100 lines, and is restarted; its followers notice nothing."""
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "counter"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "counter",
                    "image": image(),
                    "command": ["python", "-c", COUNTER],
                    "volumeMounts": [{"name": "state", "mountPath": "/state"}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
            "volumes": [{"name": "state", "emptyDir": {}}],
        },
    }
    kubectl("apply", "-n", CLIENTS, "-f", "-", input=json.dumps(pod))
    wait(lambda: get("pod", "counter", "-n", CLIENTS)["status"]["phase"] == "Running", "it runs")
    url = f"http://logs.eddyline-logs/logs/pods/{CLIENTS}/counter/counter?lines=1"
    follower = Client("follower", "-c", FOLLOWER, url, EDDYLINE_TOKEN=token)
    numbers = [int(line) for line in follower.result().split()]
    assert numbers == list(range(numbers[0], 251))
    assert numbers[0] < 200, "it was not there before the restart"
    kubectl("delete", "pod", "counter", "-n", CLIENTS)


def test_the_budget_holds_an_eviction(suite: None) -> None:
    rolled_out("deployment/events")
    first, second = (pod["metadata"]["name"] for pod in pods("events"))
    evict(first)
    assert "disruption budget" in evict(second, fails=True)
    wait(lambda: len([p for p in pods("events") if is_ready(p)]) == 2, "events is whole again")


def evict(pod: str, fails: bool = False) -> str:
    path = f"/api/v1/namespaces/eddyline/pods/{pod}/eviction"
    metadata = {"name": pod, "namespace": "eddyline"}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    return kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction), fails=fails)
