#!/usr/bin/env python3
"""Writes the files that follow from the services: `make generate`.

A service is in a gateway, in Prometheus and in the manifests by its name, its namespace and the
paths of its routes. Those are asked of the service itself and of its own manifest.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from eddyline.service.app import Context
from eddyline.service.problems import every_route
from eddyline.service.registry import Registration, registrations
from eddyline.service.settings import Settings

ROOT = Path(__file__).parents[1]

MADE = "# Made by `make generate` from the services' own routes and manifests: change those.\n"


@dataclass(frozen=True)
class Served:
    """A service as a gateway sees it.

    `prefixes` cover all its routes, none covers another, and a gateway ends no request to them
    except to those in `bounded`. Each is the path of a route, up to its first parameter.
    """

    name: str
    path: str
    namespace: str
    prefixes: tuple[str, ...]
    bounded: tuple[str, ...]

    @property
    def streaming(self) -> list[str]:
        return [prefix for prefix in self.prefixes if prefix not in self.bounded]

    @property
    def host(self) -> str:
        """The name of its Service in the cluster, from the namespace of the others."""
        return self.name if self.namespace == "eddyline" else f"{self.name}.{self.namespace}"

    @classmethod
    def from_registration(cls, registration: Registration[Settings]) -> "Served":
        name = registration.name
        heads = {path.partition("/{")[0] for path in route_paths(registration)}
        prefixes = tuple(sorted(h for h in heads if not any(is_below(h, o) for o in heads)))
        bounded = [
            p for p in prefixes if any(p == b or is_below(p, b) for b in registration.bounded)
        ]
        bounded += [b for b in registration.bounded if any(is_below(b, p) for p in prefixes)]
        return cls(name, registration.path, namespace(name), prefixes, tuple(sorted(bounded)))


def is_below(path: str, prefix: str) -> bool:
    return path.startswith(f"{prefix}/")


def route_paths(registration: Registration[Settings]) -> Iterator[str]:
    settings = registration.settings(auth_key="0" * 32)
    made = registration.service(Context.from_settings(settings), settings)
    for route in every_route(made.router.routes):
        yield route.path


def namespace(name: str) -> str:
    (manifest,) = (ROOT / "k8s" / "base").glob(f"*/{name}.yaml")
    found = re.search(r"^  namespace: (\S+)$", manifest.read_text(), re.MULTILINE)
    assert found is not None, f"{manifest} names no namespace"
    return found[1]


def caddy(services: Iterable[Served]) -> str:
    listed = "\n".join(f"{each.name} {each.path}" for each in services)
    routes = "".join(
        f"""@{each.name} path {" ".join(f"{prefix} {prefix}/*" for prefix in each.prefixes)}
handle @{each.name} {{
	reverse_proxy {{
		dynamic a {each.name} 8000 {{
			refresh 1s
		}}
		import upstream
	}}
}}
"""
        for each in services
    )
    return f"{MADE}{routes}handle / {{\n\trespond `{listed}\n`\n}}\n"


def prometheus(services: Iterable[Served]) -> str:
    return f"{MADE}scrape_configs:\n" + "".join(
        f"""  - job_name: {each.name}
    dns_sd_configs: [{{names: [{each.name}], type: A, port: 8000, refresh_interval: 5s}}]
"""
        for each in services
    )


def manifests(_: Iterable[Served]) -> str:
    names = sorted(path.name for path in (ROOT / "k8s" / "base" / "services").glob("*.yaml"))
    listed = "".join(f"  - {name}\n" for name in names if name != "kustomization.yaml")
    return f"""{MADE}apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
{listed}"""


def gateway_api(services: Iterable[Served]) -> str:
    return f"""{MADE}#
# A prefix ends at a slash: `/download` is not one of `/downloads`. Nothing else is routed:
# `/metrics`, `/livez`, `/readyz` stay inside.
#
# Streams live for hours: their rules ask for no timeout at all (0s), where controllers would end a
# request after 15 s (Envoy Gateway) or a minute. Routes that answer at once are bounded.
""" + "---\n".join(http_route(each) for each in services)


def http_route(service: Served) -> str:
    elsewhere = "" if service.namespace == "eddyline" else "namespace: eddyline, "
    rules = rule(service, service.streaming, "0s") + rule(service, service.bounded, "30s")
    return f"""apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {service.name}
  namespace: {service.namespace}
  labels: {{app.kubernetes.io/name: {service.name}, app.kubernetes.io/part-of: eddyline}}
spec:
  parentRefs: [{{name: eddyline, {elsewhere}sectionName: https}}]
  rules:
{rules}"""


def rule(service: Served, prefixes: Iterable[str], timeout: str) -> str:
    matches = "".join(f"        - path: {{type: PathPrefix, value: {p}}}\n" for p in prefixes)
    return (
        matches
        and f"""    - matches:
{matches}      timeouts: {{request: {timeout}, backendRequest: {timeout}}}
      backendRefs: [{{name: {service.name}, port: 80}}]
"""
    )


def ingress(services: Iterable[Served]) -> str:
    groups = groupby(sorted(services, key=lambda s: s.namespace), key=lambda s: s.namespace)
    return f"""{MADE}#
# No ingressClassName: the cluster's default class takes them. Each is in the namespace of its
# Services, as Ingresses must be; one brings the certificate of the host.
""" + "---\n".join(ingress_of(name, list(group)) for name, group in groups)


def ingress_of(namespace: str, services: list[Served]) -> str:
    tls = """  tls:
    - hosts: [eddyline.example.org]
      secretName: eddyline-tls
"""
    paths = "".join(
        f"""          - path: {prefix}
            pathType: Prefix
            backend: {{service: {{name: {each.name}, port: {{name: http}}}}}}
"""
        for each in services
        for prefix in each.prefixes
    )
    return f"""apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: eddyline
  namespace: {namespace}
  labels: {{app.kubernetes.io/name: eddyline, app.kubernetes.io/part-of: eddyline}}
  annotations:
    # nginx: nothing is kept back, in either direction, and a stream may be silent for longer than
    # its heartbeat.
    nginx.ingress.kubernetes.io/proxy-buffering: "off"
    nginx.ingress.kubernetes.io/proxy-request-buffering: "off"
    nginx.ingress.kubernetes.io/proxy-body-size: "0"
    nginx.ingress.kubernetes.io/proxy-http-version: "1.1"
    nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
    nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
    # Traefik buffers nothing and ends no stream by itself. TLS alone: tokens never travel in the
    # clear.
    traefik.ingress.kubernetes.io/router.entrypoints: websecure
    traefik.ingress.kubernetes.io/router.tls: "true"
spec:
{tls if namespace == "eddyline" else ""}  rules:
    - host: eddyline.example.org
      http:
        paths:
{paths}"""


def addresses(services: Iterable[Served]) -> str:
    return MADE + "".join(f"{each.name.upper()}_URL=http://{each.host}\n" for each in services)


def grafana(services: Iterable[Served]) -> str:
    listed = "".join(
        f"""  - name: dashboard-{name}
    namespace: eddyline
    files: [dashboards/{name}.json]
"""
        for name in ("suite", *(each.name for each in services))
    )
    return f"""{MADE}#
# The dashboards as ConfigMaps, which the sidecar of a Grafana in the cluster loads by their label.
# One each: a client-side apply keeps a copy in an annotation, of 256 KiB at most.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
generatorOptions:
  disableNameSuffixHash: true
  labels:
    grafana_dashboard: "1"
  annotations:
    grafana_folder: Eddyline
configMapGenerator:
{listed}"""


def images(_: Iterable[Served]) -> str:
    """The tag of images that are in no registry; `make push` writes the file for one."""
    text = (ROOT / IMAGES).read_text()
    project = (ROOT / "shared" / "streaming" / "pyproject.toml").read_text()
    (version,) = re.findall(r'^version = "(.+)"$', project, re.MULTILINE)
    if "name: localhost/eddyline/.+\n" not in text:
        return text
    return re.sub(r'newTag: ".*"', f'newTag: "{version}"', text)


def runbooks(_: Iterable[Served]) -> str:
    """The alerts: their links lead to the site of the documents, which pyproject.toml names."""
    site = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["eddyline"]["documents"]
    text = (ROOT / ALERTS).read_text()
    links = rf"\g<1>{site.rstrip('/')}/operate/runbooks.html#"
    return re.sub(r"^( +runbook_url: )\S*#", links, text, flags=re.MULTILINE)


def releases(services: Iterable[Served]) -> str:
    """The workflow of a release, which has an image of each service."""
    names = ", ".join([*(each.name for each in services), "loadtests"])
    text = (ROOT / RELEASE).read_text()
    return re.sub(r"^( +service: )\[.*\]$", rf"\g<1>[{names}]", text, flags=re.MULTILINE)


RELEASE = ".github/workflows/release.yml"

ALERTS = "observability/alerts.yml"

IMAGES = "k8s/components/images/kustomization.yaml"

FILES: dict[str, Callable[[list[Served]], str]] = {
    "deploy/routes.caddy": caddy,
    "deploy/scrape.yml": prometheus,
    "k8s/base/services/kustomization.yaml": manifests,
    "k8s/components/gateway-api/routes.yaml": gateway_api,
    "k8s/components/ingress/ingresses.yaml": ingress,
    "k8s/components/loadtest/services.env": addresses,
    IMAGES: images,
    ALERTS: runbooks,
    RELEASE: releases,
    "observability/kustomization.yaml": grafana,
}


def files() -> dict[str, str]:
    """The text of each file, by its path."""
    services = [Served.from_registration(each) for each in registrations().values()]
    return {path: text(services) for path, text in FILES.items()}


def main() -> None:
    for path, text in files().items():
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
