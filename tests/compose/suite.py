"""The shipped compose file, built and run: `make compose-test`. The tests share one suite."""

import json
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from rendered import ROOT
from stack import Stack, until
from users import SUBSCRIBERS, Client, herding, mint

from eddyline.service.registry import registrations

SERVICES = tuple(registrations())
PROGRAMS = (*SERVICES, "redis", "gateway", "prometheus", "alertmanager", "grafana")

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A plain `docker compose up`, without any .env."""
    began = time.monotonic()
    made = Stack(tmp_path_factory.mktemp("compose"))
    made.remove()  # the leavings of a run that was killed
    try:
        made.make_standins()
        made.run("docker", "compose", "build", "--quiet")
        built = time.monotonic()
        made.run("docker", "compose", "up", "--wait")
        print(f"\nbuilt in {built - began:.0f} s, healthy {time.monotonic() - built:.0f} s later")
        yield made
    finally:
        made.remove()


def test_a_plain_up_is_secured(stack: Stack) -> None:
    states = {c["Service"]: (c["State"], c.get("Health", "")) for c in stack.containers()}
    assert states.pop("keys")[0] == "exited"
    assert states == dict.fromkeys(PROGRAMS, ("running", "healthy"))
    assert Client(stack, "none").statuses() == dict.fromkeys(SERVICES, "401")
    client = Client(stack, mint(stack))
    assert client.statuses() == dict.fromkeys(SERVICES, "2xx")
    (stack.folder / "plain-token").write_text(client.token)


def test_make_up_gives_a_token_that_works(stack: Stack) -> None:
    """On a suite that runs already: with the new keys everybody must start anew."""
    said = stack.run("scripts/up")
    assert (stack.folder / ".env").stat().st_mode & 0o777 == 0o600
    curl = re.findall(r"^(?:export|curl) .*$", said, re.MULTILINE)
    assert len(curl) == 2, said
    script = f"{curl[0]}; {curl[1]} --max-time 3 -sS"
    done = subprocess.run(
        ["sh", "-c", script], cwd=stack.folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 28, done.stderr  # an endless stream, left by --max-time
    assert 'data: {"count"' in done.stdout
    plain = (stack.folder / "plain-token").read_text()
    assert Client(stack, plain).statuses() == dict.fromkeys(SERVICES, "401")
    assert Client(stack, curl[0].partition("=")[2]).statuses() == dict.fromkeys(SERVICES, "2xx")
    assert "NOAUTH" in stack.inside("redis", "env", "-u", "REDISCLI_AUTH", "redis-cli", "ping")


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack, mint(stack))


def test_the_configuration_has_what_docker_must_enforce(stack: Stack) -> None:
    for name, service in stack.config()["services"].items():
        assert not service["image"].endswith(":latest"), name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["stop_grace_period"] == "35s", name


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_container_has_no_rights_inside(stack: Stack, name: str) -> None:
    status = stack.inside(name, "cat", "/proc/1/status")
    values = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert "0" not in values["Uid"].split()
    # Caddy's program has the capability to bind low ports as an attribute of its file.
    allowed = 1 << 10 if name == "gateway" else 0
    assert int(values["CapBnd"], 16) == allowed
    assert {int(values[kind], 16) for kind in ("CapEff", "CapPrm")} <= {0, allowed}
    assert values["NoNewPrivs"] == "1"
    write = "for d in / /etc /usr /app; do touch $d/probe 2>&1; done; touch /tmp/probe && echo tmp"
    said = stack.inside(name, "sh", "-c", write).splitlines()
    assert said.pop() == "tmp"
    assert len(said) == 4, said
    assert all("Read-only" in line or "No such" in line for line in said), said


def test_only_events_reaches_redis(stack: Stack) -> None:
    reach = "import socket; socket.create_connection(('redis', 6379), 3)"
    stack.inside("events", "python", "-c", reach)
    with pytest.raises(AssertionError, match="gaierror"):
        stack.inside("downloads", "python", "-c", reach)


def test_the_lessons_urls_work_through_the_gateway(client: Client) -> None:
    command = [sys.executable, str(ROOT / "tests" / "lesson.py"), client.url]
    done = subprocess.run(
        command, env=client.environment, capture_output=True, text=True, timeout=240
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gateway_keeps_what_is_the_services_own(client: Client) -> None:
    for path in ("/metrics", "/readyz", "/events/../metrics", "/events/%2e%2e/metrics", "/nope"):
        answer = client.curl(path, "--path-as-is", "-i")
        assert answer.startswith("HTTP/2 404"), answer
        assert "application/problem+json" in answer


def test_the_client_is_who_asked_the_gateway(stack: Stack) -> None:
    ask = """if True:
        import http.client, socket
        gateway = http.client.HTTPConnection("gateway", 8000)
        # Whoever asks can't pass for somebody else.
        gateway.request("GET", "/files/by-whom", headers={"X-Forwarded-For": "198.51.100.1"})
        gateway.getresponse()
        print(socket.gethostbyname("chat"))
    """
    client = stack.inside("chat", "python", "-c", ask).split()[-1]
    lines = stack.compose("logs", "--no-log-prefix", "downloads").splitlines()
    (line,) = [line for line in lines if '"path":"/files/by-whom"' in line]
    assert f'"client":"{client}"' in line


def test_a_stream_comes_unbuffered_over_http2(client: Client) -> None:
    topic = "h2"
    command = client.command(f"/events?topic={topic}", "-N", "-i")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stream:
        try:
            assert stream.stdout is not None
            lines = iter(stream.stdout.readline, "")
            head = [line.strip() for line in iter(lambda: next(lines).strip(), "")]
            assert head[0] == "HTTP/2 200"
            assert any(line.startswith("alt-svc: h3=") for line in head), head
            for number in range(5):
                event = json.dumps({"topic": topic, "data": {"n": number}})
                began = time.monotonic()
                client.curl("/events", "--json", event)
                assert f'data: {{"n":{number}}}\n' in iter(lines)
                assert time.monotonic() - began < 1
        finally:
            stream.kill()


def test_the_gateways_log_is_followed_and_holds_no_token(client: Client) -> None:
    client.curl("/events?ticket=s3cret-ticket&authorization=s3cret-token&probe=7")
    text = ""
    while "probe=7" not in text:
        text = client.curl("/logs/gateway.log?lines=50&follow=false", "-H", "Accept: text/plain")
    assert "s3cret" not in text
    assert client.token not in text
    assert "REDACTED" in text


def query(stack: Stack, expression: str) -> dict[str, float]:
    """The values of an expression, by the label `instance` if it has one."""
    answer = stack.get("PROMETHEUS_PORT", f"/api/v1/query?query={urllib.request.quote(expression)}")
    result = answer["data"]["result"]
    return {one["metric"].get("instance", ""): float(one["value"][1]) for one in result}


def test_prometheus_sees_every_target_and_knows_the_rules(stack: Stack) -> None:
    def up() -> bool:
        targets = stack.get("PROMETHEUS_PORT", "/api/v1/targets")["data"]["activeTargets"]
        states = sorted((t["labels"]["job"], t["health"]) for t in targets)
        return states == sorted((name, "up") for name in SERVICES)

    until(up)
    groups = stack.get("PROMETHEUS_PORT", "/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules
    assert all(rule["health"] in ("ok", "unknown") for rule in rules), rules


def test_grafana_has_the_dashboards(stack: Stack) -> None:
    files = (ROOT / "observability" / "dashboards").glob("*.json")
    uids = {json.loads(file.read_text())["uid"] for file in files}
    found = until(lambda: stack.get("GRAFANA_PORT", "/api/search?type=dash-db"))
    assert {dashboard["uid"] for dashboard in found} == uids
    with pytest.raises(urllib.error.HTTPError):
        stack.get("GRAFANA_PORT", "/api/admin/settings")


def test_no_stream_loses_its_place(stack: Stack, client: Client) -> None:
    with herding(client) as herd:
        print(herd.flows())

        def fault(command: str) -> None:
            stack.run(*shlex.split(command))
            print(command, herd.flows())

        fault("docker compose restart events")
        fault("docker compose up -d --force-recreate events")
        fault("docker compose up -d --no-recreate --scale events=3")
        # Its streams go to the two others.
        fault(f"docker restart --time 35 {stack.name}-events-1")
        three_tell_the_truth(stack)
        fault("docker compose up -d --no-recreate --scale events=1")
        fault("docker compose restart redis")
        verdict = herd.verdict()
        print(verdict)
        assert verdict["state"] == "passed", verdict
        assert (verdict["lost"], verdict["twice"], verdict["disorder"]) == (0, 0, 0)
        assert not verdict["resets"]
        # Each was moved four times, and no stream was cut off.
        assert verdict["reconnects"] >= 4 * SUBSCRIBERS
        assert verdict["dirty"] == 0


def three_tell_the_truth(stack: Stack) -> None:
    streams = 'eddyline_streams_open{service="events"}'

    def true() -> bool:
        """A replica that was started anew has another address, and no stream yet."""
        each = query(stack, f"sum by (instance) ({streams})")
        up = query(stack, 'up{job="events"} == 1')
        return len(up) == 3 and len(each) >= 2 and sum(each.values()) == SUBSCRIBERS

    until(true)
    assert query(stack, f"sum({streams})") == {"": SUBSCRIBERS}


def test_locust_loads_the_suite(stack: Stack) -> None:
    stack.compose(
        "up", "-d", "--wait", "--no-recreate", "--scale", "locust-worker=2",
        "locust-master", "locust-worker",
    )  # fmt: skip

    def stats() -> Any:
        return stack.get("LOCUST_PORT", "/stats/requests")

    until(lambda: len(stats()["workers"]) == 2)
    # Equal shares, by which so few users are of all kinds.
    shares = ("subscribers", "resumers", "churners", "slow_readers", "log_followers",
              "chat_readers", "record_readers", "downloaders")  # fmt: skip
    form = ["user_count=20", "spawn_rate=20", *(f"{share}=2" for share in shares)]
    stack.post("LOCUST_PORT", "/swarm", "&".join(form).encode())

    def kinds() -> Any:
        return stack.get("LOCUST_PORT", "/streams/snapshot")["kinds"]

    until(lambda: all(counters["received"] for counters in kinds().values()))
    stack.post("LOCUST_PORT", "/stop", b"")
    for kind, counters in kinds().items():
        faults = ("lost", "repeated", "reordered", "dirty", "resets", "failed")
        assert not any(counters[fault] for fault in faults), (kind, counters)
    assert not stats()["errors"]
