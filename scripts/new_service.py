#!/usr/bin/env python3
"""Makes a service from services/_template: `make new-service NAME=polls`.

The copy has the name in place of the template's own, `sample`. Its entry for Compose goes into
docker-compose.yml, and its manifest into k8s/base/services. The rest follows by `make generate`.
"""

import keyword
import re
import sys
from pathlib import Path

from generate import route_paths

from eddyline.service.registry import registrations

ROOT = Path(__file__).parents[1]

#: The name of the service that the template is.
SAMPLE = "sample"

#: Names that folders, dashboards, routes, manifests and variables of all services have already.
RESERVED = {
    *(SAMPLE, "standalone", "suite", "operations", "eddyline", "loadtests", "loadtest"),
    *("livez", "readyz", "metrics", "docs", "openapi", "kubernetes"),
}

#: Programs whose variables begin with their name, as those of the service would: PYTHON_VERSION is
#: in every image of Python, HTTP_PROXY on many a machine. The service would refuse to start.
FOREIGN = {
    *("http", "https", "ftp", "no", "all", "lc", "xdg", "ssh", "gpg", "git", "docker", "compose"),
    *(
        "python",
        "pip",
        "uv",
        "node",
        "npm",
        "gunicorn",
        "uvicorn",
        "forwarded",
        "prometheus",
        "otel",
    ),
}

#: Files of the template that have their place outside of the service's folder.
COMPOSE, KUBERNETES = Path("deploy/compose.yaml"), Path("deploy/kubernetes.yaml")


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if fault := refusal(name):
        print(f"eddyline: {fault}", file=sys.stderr)
        return 2
    for path in sorted((ROOT / "services" / "_template").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            place(path.relative_to(ROOT / "services" / "_template"), name)
    print(f"""services/{name} is there. Run it:
  make serve SERVICE={name}
  curl -N http://127.0.0.1:8000/{name}
Its items come from services/{name}/eddyline_{name}/numbers.py: put your own in their place.""")
    return 0


def refusal(name: str) -> str:
    """The reason why no service can have this name; empty where one can."""
    if re.fullmatch(r"[a-z][a-z0-9]{0,15}", name) is None:
        return f"{name!r} is no name of a service: expected up to 16 lower-case letters and digits"
    if keyword.iskeyword(name):
        return f"{name!r} is a keyword of Python: expected another name, such as {name}s"
    if name in registrations() or (ROOT / "services" / name).exists():
        return f"there is a service {name!r} already: services/{name}"
    if name in RESERVED | containers():
        return f"{name!r} is reserved, because the suite uses the name itself"
    if name in FOREIGN:
        return f"{name!r} is taken: variables of {name.upper()}_* are other programs' settings"
    for service in registrations().values():
        for path in route_paths(service):
            if f"{path}/".startswith(f"/{name}/"):
                return f"{name!r} is taken: the service {service.name} has the path {path}"
    return ""


def containers() -> set[str]:
    """The names in docker-compose.yml that services, volumes and networks have."""
    text = (ROOT / "docker-compose.yml").read_text()
    return set(re.findall(r"^  ([a-z0-9-]+):", text, re.MULTILINE))


def place(path: Path, name: str) -> None:
    """Copies a file of the template, with the name filled in, to the place that it has."""
    text = named((ROOT / "services" / "_template" / path).read_text(), name)
    if path == COMPOSE:
        add_to_compose(text, name)
        return
    target = ROOT / "services" / name / named(str(path), name)
    if path == KUBERNETES:
        target = ROOT / "k8s" / "base" / "services" / f"{name}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def named(text: str, name: str) -> str:
    for write in (str.lower, str.upper, str.capitalize):
        text = text.replace(write(SAMPLE), write(name))
    return text


def add_to_compose(entry: str, name: str) -> None:
    """Before the gateway, which starts after all services and stops before them."""
    file = ROOT / "docker-compose.yml"
    before, gateway, after = file.read_text().partition("  gateway:\n")
    start = "      <<: *needs-keys\n"
    after = after.replace(start, f"{start}      {name}: {{condition: service_started}}\n", 1)
    file.write_text(before + entry + gateway + after)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
