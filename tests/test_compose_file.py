"""docker-compose.yml and its mounts: hardened, closed to the outside, and true to the code."""

import re
import runpy
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from eddyline.service.registry import registrations
from eddyline.service.settings import Settings

ROOT = Path(__file__).parents[1]

SERVICES = registrations()
SETTINGS = {name: service.settings for name, service in SERVICES.items()}
#: Built from the one Dockerfile.
OURS = {*SETTINGS, "keys", "locust-master", "locust-worker"}

_VARIABLE = re.compile(r"\$\{(\w+)(:?[-+])([^${}]*)\}")
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def compose(**variables: str) -> dict[str, Any]:
    """The file as Compose reads it where only these variables are set."""

    def value(match: "re.Match[str]") -> str:
        name, kind, other = match.groups()
        if kind == ":+":
            return other if variables.get(name) else ""
        if kind == "-" and name in variables:
            return variables[name]
        return variables.get(name) or other

    text, count = COMPOSE, 1
    while count:  # the innermost first
        text, count = _VARIABLE.subn(value, text)
    return dict(yaml.safe_load(text))


FILE = compose()
ALL = FILE["services"]


def seconds(text: str) -> float:
    assert text.endswith("s"), text
    return float(text[:-1])


@pytest.mark.parametrize("name", ALL)
def test_each_service_is_hardened(name: str) -> None:
    service = ALL[name]
    assert service["read_only"] is True
    assert service["tmpfs"][0].startswith("/tmp:")
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "gateway" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert not {"privileged", "container_name", "pid", "ipc", "devices"} & set(service)
    assert service["restart"] == ("no" if name == "keys" else "unless-stopped")


@pytest.mark.parametrize("name", ALL)
def test_each_service_has_limits(name: str) -> None:
    service = ALL[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    # Docker refuses more CPUs than a machine has.
    assert float(service["deploy"]["resources"]["limits"]["cpus"]) <= 1
    assert int(service["ulimits"]["nofile"]) >= 65536
    assert service["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])


@pytest.mark.parametrize("name", ALL)
def test_each_image_has_an_exact_version(name: str) -> None:
    image, _, tag = ALL[name]["image"].rpartition(":")
    assert image.startswith("localhost/eddyline/") == (name in OURS)
    if name not in OURS:
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
    else:
        # Of this folder, at whichever version: `make up` keeps each under its own tag, too.
        assert tag == "local"
        assert compose(TAG="9.9.9")["services"][name]["image"] == f"{image}:9.9.9"


def test_our_images_are_built_each_once_and_never_pulled() -> None:
    built = [service for service in ALL.values() if "build" in service]
    names = [service["build"]["args"]["SERVICE"] for service in built]
    assert [service["image"] for service in built] == [
        f"localhost/eddyline/{n}:local" for n in names
    ]
    assert len(set(names)) == len(names)
    assert {ALL[name]["image"] for name in OURS} == {service["image"] for service in built}
    # The owner of that name at a registry could give us anything.
    assert {ALL[name].get("pull_policy") for name in OURS} == {"never"}


@pytest.mark.parametrize("name", SETTINGS)
def test_docker_waits_longer_than_gunicorn(name: str) -> None:
    gunicorn = runpy.run_module("eddyline.server.gunicorn")
    assert seconds(ALL[name]["stop_grace_period"]) > gunicorn["timeout"]
    assert "EDDYLINE_DRAIN_WINDOW" not in ALL[name]["environment"]


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_those_of_the_service(name: str) -> None:
    settings = SETTINGS[name]
    prefix = str(settings.model_config.get("env_prefix", "")).upper()
    own = {
        prefix + field.upper() for field in set(settings.model_fields) - set(Settings.model_fields)
    }
    shared = {f"EDDYLINE_{field.upper()}" for field in Settings.model_fields}
    others = {variable for variable in ALL[name]["environment"] if variable.startswith("OTEL_")}
    assert set(ALL[name]["environment"]) - others <= own | shared


@pytest.mark.parametrize("name", SETTINGS)
def test_traces_go_to_the_collector_that_is_named(name: str) -> None:
    told = compose(OTEL_EXPORTER_OTLP_ENDPOINT="http://jaeger:4318")["services"][name][
        "environment"
    ]
    assert {key: value for key, value in told.items() if key.startswith("OTEL_")} == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4318",
        "OTEL_SERVICE_NAME": name,
        # It takes traces alone.
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    assert not ALL[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert ALL["jaeger"]["profiles"] == ["tracing"]


def test_it_is_secured_without_an_env_file() -> None:
    for name in SETTINGS:
        environment = ALL[name]["environment"]
        assert environment["EDDYLINE_AUTH"] == "on"
        assert environment["EDDYLINE_AUTH_KEY_FILE"] == "/run/eddyline/auth-key"
        # Beside the file it would be one too many.
        assert "EDDYLINE_AUTH_KEY" not in environment
        assert "keys:/run/eddyline:ro" in ALL[name]["volumes"]
        needs = ALL[name]["depends_on"]["keys"]
        # A service that has read an old key must start anew.
        assert needs == {"condition": "service_completed_successfully", "restart": True}
    assert ALL["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_another_may_sign_the_tokens() -> None:
    given = {"EDDYLINE_AUTH_JWKS": "https://id.example/keys", "EDDYLINE_AUTH_KEY_FILE": ""}
    environment = compose(**given)["services"]["events"]["environment"]
    # Empty is not set: of two keys the services would take none.
    assert not environment["EDDYLINE_AUTH_KEY_FILE"]
    assert environment["EDDYLINE_AUTH_JWKS"] == "https://id.example/keys"


def test_the_documentation_has_each_variable() -> None:
    text = (ROOT / "docs" / "operate" / "compose.md").read_text()
    section = text.split("\n## Variables\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert documented == set(re.findall(r"\$\{(\w+)", COMPOSE)) - {"EDDYLINE_AUTH_KEY_FILE"}


def test_a_password_reaches_redis_and_who_asks_it() -> None:
    services = compose(REDIS_PASSWORD="s3cret")["services"]
    assert services["events"]["environment"]["EVENTS_REDIS_URL"] == "redis://:s3cret@redis:6379/0"
    assert services["redis"]["command"][-2:] == ["--requirepass", "s3cret"]
    assert services["redis"]["environment"]["REDISCLI_AUTH"] == "s3cret"
    assert ALL["events"]["environment"]["EVENTS_REDIS_URL"] == "redis://redis:6379/0"


def test_redis_keeps_what_it_was_given() -> None:
    options = dict(zip(ALL["redis"]["command"][::2], ALL["redis"]["command"][1::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_only_events_reaches_redis() -> None:
    assert FILE["networks"]["redis"] == {"internal": True}
    on_it = {name for name, service in ALL.items() if "redis" in service.get("networks", ())}
    assert on_it == {"redis", "events"}
    assert ALL["redis"]["networks"] == ["redis"]


def test_ports_are_published_on_loopback() -> None:
    for service in ALL.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    # Elsewhere by BIND, but for the tools without a login.
    opened = compose(BIND="0.0.0.0")["services"]
    for name, service in opened.items():
        host = "0.0.0.0:" if name == "gateway" else "127.0.0.1:"
        assert all(port.startswith(host) for port in service.get("ports", ()))


def test_the_gateway_listens_where_it_says() -> None:
    ports = compose(HTTPS_PORT="443", HTTP_PORT="80")["services"]["gateway"]["ports"]
    assert set(ports) == {
        "127.0.0.1:443:443",
        "127.0.0.1:443:443/udp",
        "127.0.0.1:80:80",
    }


def test_what_is_mounted_is_there() -> None:
    mounts = [v for service in ALL.values() for v in service["volumes"]]
    files = {mount.split(":")[0] for mount in mounts}
    for file in files:
        if file.startswith("./"):
            assert (ROOT / file).exists(), file
        else:
            assert file in FILE["volumes"], file


def test_prometheus_scrapes_every_replica_of_each_service() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    (file,) = config["scrape_config_files"]
    jobs = yaml.safe_load((ROOT / "deploy" / file).read_text())["scrape_configs"]
    assert {job["job_name"] for job in jobs} == set(SETTINGS)
    for job in jobs:
        [found] = job["dns_sd_configs"]
        assert (found["names"], found["type"], found["port"]) == ([job["job_name"]], "A", 8000)
    for file in config["rule_files"]:
        assert (ROOT / file).exists(), file


CADDYFILE = (ROOT / "deploy" / "Caddyfile").read_text()
GENERATED = (ROOT / "deploy" / "routes.caddy").read_text()
ROUTES = {
    name: paths.split()
    for name, paths in re.findall(r"^@(\w+) path (.*)$", GENERATED, re.MULTILINE)
}


def routed(path: str) -> list[str]:
    return [name for name, routes in ROUTES.items() if any(fnmatchcase(path, r) for r in routes)]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_gateway_routes_each_path_to_its_service(name: str) -> None:
    own = {"/livez", "/readyz", "/metrics"}
    paths = set(SERVICES[name].create_app().openapi()["paths"])
    assert paths > own
    for path in paths - own:
        assert routed(path) == [name], path
    assert f"dynamic a {name} 8000" in GENERATED


@pytest.mark.parametrize("name", SETTINGS)
def test_every_prefix_of_the_gateway_leads_to_a_route(name: str) -> None:
    paths = SERVICES[name].create_app().openapi()["paths"]
    for prefix in ROUTES[name]:
        start = prefix.removesuffix("*").removesuffix("/")
        assert any(f"{path}/".startswith(f"{start}/") for path in paths), prefix


def test_the_gateway_itself_lists_the_services() -> None:
    (listed,) = re.findall(r"respond `(.*?)`", GENERATED, re.DOTALL)
    assert listed.splitlines() == [f"{each.name} {each.path}" for each in SERVICES.values()]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/docs", "/", "/eventsource"])
def test_the_gateway_keeps_what_is_the_services_own(path: str) -> None:
    assert routed(path) == []


def test_the_gateway_buffers_nothing() -> None:
    assert GENERATED.count("reverse_proxy {") == GENERATED.count("import upstream") == len(SETTINGS)
    assert "flush_interval -1" in CADDYFILE
