"""The `gateway-api` and `ingress` components: events over TLS and HTTP/2, each as it comes."""

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from kube import exists, get, kubectl, wait

HOST = "eddyline.example.org"

Tool = Callable[..., str]


@pytest.fixture(scope="module")
def authority(suite: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate that signed the one in the Secret `eddyline-tls`."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "cert.pem", append=True)
    files = (f"--cert={folder / 'cert.pem'}", f"--key={folder / 'key.pem'}")
    kubectl("create", "secret", "tls", "eddyline-tls", "-n", "eddyline", *files)
    return folder / "authority.pem"


@pytest.fixture
def gateway(authority: Path) -> Iterator[str]:
    """The address of the Gateway."""
    if not exists("gatewayclass/traefik"):
        pytest.skip("no GatewayClass traefik: helm install traefik, with its Gateway provider on")
    kubectl("apply", "-k", "k8s/tests/gateway-api")
    kubectl("wait", "gateway/eddyline", "-n", "eddyline", "--for=condition=Programmed")
    status = get("gateway/eddyline", "-n", "eddyline")["status"]
    yield str(status["addresses"][0]["value"])
    kubectl("delete", "gateway,httproute", "--all", "-n", "eddyline")
    kubectl("delete", "httproute", "--all", "-n", "eddyline-logs")


@pytest.fixture
def ingress(authority: Path) -> Iterator[str]:
    """The address of the Ingress."""
    if not get("ingressclasses")["items"]:
        pytest.skip("no IngressClass: install an ingress controller, such as Traefik")
    kubectl("apply", "-k", "k8s/tests/ingress")
    yield wait(address, "the Ingress has an address")
    for namespace in ("eddyline", "eddyline-logs"):
        kubectl("delete", "ingress", "--all", "-n", namespace)


def address() -> Any:
    status = get("ingress/eddyline", "-n", "eddyline")["status"]
    return next((found.get("ip") for found in status["loadBalancer"].get("ingress", [])), None)


class Edge:
    """curl, by way of an address."""

    def __init__(self, curl: str, address: str, authority: Path, token: str) -> None:
        self._command = [curl, "-sS", "--http2", "--cacert", str(authority)]
        self._command += [
            "--resolve",
            f"{HOST}:443:{address}",
            "-H",
            f"Authorization: Bearer {token}",
        ]

    def status(self, path: str) -> int:
        form = ["-o", "/dev/null", "-w", "%{http_code}", "-m", "5"]
        done = subprocess.run(
            [*self._command, *form, f"https://{HOST}{path}"], capture_output=True, text=True
        )
        return int(done.stdout or 0)

    def stream(self, path: str, seconds: float) -> tuple[list[tuple[float, bytes]], str]:
        """The bytes that came within that time, and when; and the version of HTTP."""
        form = ["-N", "-w", "%{stderr}%{http_version}", "-m", str(seconds)]
        pieces = []
        with subprocess.Popen(
            [*self._command, *form, f"https://{HOST}{path}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            while piece := process.stdout.read(65536):
                pieces.append((time.monotonic(), piece))
            told = process.stderr.read().decode()
        return pieces, told.rpartition("\n")[2]


def check(edge: Edge) -> None:
    wait(lambda: edge.status("/small") == 200, "the route is there")
    pieces, version = edge.stream("/events?topic=demo", 6)
    assert version == "2"
    events = [(moment, piece) for moment, piece in pieces if b"\ndata:" in b"\n" + piece]
    counts = [json.loads(p.split(b"data: ", 1)[1].splitlines()[0])["count"] for _, p in events]
    assert len(counts) >= 4, f"events were kept back: {pieces}"
    assert counts == list(range(counts[0], counts[0] + len(counts)))
    gaps = [later - sooner for (sooner, _), (later, _) in itertools.pairwise(events)]
    assert all(0.3 < gap < 2.0 for gap in gaps), f"they did not come one by one: {gaps}"
    pieces, _ = edge.stream("/logs/app.log?lines=1", 5)
    assert len(pieces) > 2
    assert edge.status("/metrics") == 404
    assert edge.status("/readyz") == 404


def test_by_gateway_api(gateway: str, authority: Path, token: str, tool: Tool) -> None:
    check(Edge(tool("curl"), gateway, authority, token))


def test_by_ingress(ingress: str, authority: Path, token: str, tool: Tool) -> None:
    check(Edge(tool("curl"), ingress, authority, token))
