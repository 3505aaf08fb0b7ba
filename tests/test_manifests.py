"""Rules for every pod, route and policy, in all that can be put together of k8s/."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from rendered import (
    ENTRIES,
    ROOT,
    VERSION,
    WORKLOADS,
    Manifest,
    containers,
    environment,
    labels,
    namespace,
    of_kind,
    pod,
    pod_labels,
    render,
    selects,
    services,
    title,
)

from eddyline.server.server import GRACE
from eddyline.service.access import authenticator_from_settings
from eddyline.service.app import Context
from eddyline.service.problems import every_route
from eddyline.service.registry import registrations
from eddyline.service.settings import Settings
from eddyline.telemetry import metrics

SERVICES = registrations()

#: Seconds after the window in which the rest is cut (drain.py).
CUT = 1.5

#: Of each service, and not for the outside.
INSIDE = {"/", "/metrics", "/livez", "/readyz", "/docs", "/openapi.json"}

KUBERNETES = (ROOT / "docs" / "operate" / "kubernetes.md").read_text()


def each_of(entries: Iterable[str]) -> pytest.MarkDecorator:
    """The tests of one kustomization run in one process, which builds it once."""
    return pytest.mark.parametrize(
        "entry", [pytest.param(e, marks=pytest.mark.xdist_group(e)) for e in entries]
    )


every_entry = each_of(ENTRIES)


# Pods


def settings_of(
    monkeypatch: pytest.MonkeyPatch, manifests: list[Manifest], workload: Manifest
) -> Settings:
    """As the service will read them."""
    with monkeypatch.context() as patch:
        for name, value in environment(manifests, workload).items():
            patch.setenv(name, value)
        return SERVICES[workload["metadata"]["name"]].settings.read()


@every_entry
def test_a_service_reads_all_that_it_is_told(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = render(entry)
    assert {workload["metadata"]["name"] for workload in services(manifests)} == set(SERVICES)
    for workload in services(manifests):
        settings = SERVICES[workload["metadata"]["name"]].settings
        given = environment(manifests, workload)
        assert not [value for value in given.values() if "$(" in value], title(workload)
        # One ConfigMap is for all services of a namespace: each leaves out the settings of others.
        known = {name for each in SERVICES.values() for name in variables(each.settings)}
        own = {variable["name"] for variable in pod(workload)["containers"][0]["env"]}
        assert given.keys() - {"REDIS_PASSWORD"} <= known, title(workload)
        assert own - {"REDIS_PASSWORD"} <= variables(settings), title(workload)
        settings_of(monkeypatch, manifests, workload)


@every_entry
def test_a_service_has_one_key_to_verify_tokens_with(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = render(entry)
    for workload in services(manifests):
        settings = settings_of(monkeypatch, manifests, workload)
        # Two are refused, and none is.
        assert authenticator_from_settings(settings).enabled, title(workload)


def test_the_tokens_may_be_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = render("k8s/tests/jwks")
    lines = (ROOT / "k8s" / "components" / "jwks" / "jwks.env").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert told.keys() == {f"EDDYLINE_AUTH_{name}" for name in ("JWKS", "ISSUER", "AUDIENCE")}
    for workload in services(manifests):
        given = environment(manifests, workload)
        assert told.items() <= given.items(), title(workload)
        assert not {"EDDYLINE_AUTH_KEY", "EDDYLINE_AUTH_PREVIOUS_KEY"} & set(given), title(workload)
        # By name, and by HTTPS: the key set is somewhere else.
        assert {("UDP", 53), ("TCP", 53), ("TCP", 443)} <= reached(manifests, workload)


@each_of(sorted({*ENTRIES} - {"k8s/tests/jwks"}))
def test_a_pod_waits_for_the_suites_key(entry: str) -> None:
    """The Job that makes it may come later: a pod without it would start, and fail."""
    for workload in services(render(entry)):
        given = {v["name"]: v for v in pod(workload)["containers"][0]["env"]}
        source = given["EDDYLINE_AUTH_KEY"]["valueFrom"]["secretKeyRef"]
        assert source == {"name": "eddyline-keys", "key": "auth-key"}, title(workload)
        # But not for the key of before, which there is only while keys are exchanged.
        source = given["EDDYLINE_AUTH_PREVIOUS_KEY"]["valueFrom"]["secretKeyRef"]
        assert source == {"name": "eddyline-keys", "key": "previous-auth-key", "optional": True}


def reached(manifests: list[Manifest], workload: Manifest) -> set[tuple[str, int | str]]:
    """The ports that its pods may reach anywhere."""
    return {
        (port["protocol"], port["port"])
        for policy in of_kind(manifests, "NetworkPolicy")
        if namespace(policy) == namespace(workload)
        and selects(policy["spec"]["podSelector"].get("matchLabels", {}), pod_labels(workload))
        for rule in policy["spec"].get("egress", [])
        if "to" not in rule
        for port in rule.get("ports", [])
    }


def variables(settings: type[Settings]) -> set[str]:
    prefix = settings.model_config.get("env_prefix", "")
    own = set(settings.model_fields) - set(Settings.model_fields)
    return {f"{prefix}{name}".upper() for name in own} | {
        f"EDDYLINE_{name}".upper() for name in Settings.model_fields
    }


@every_entry
def test_a_pod_has_the_time_to_let_its_streams_end(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = render(entry)
    for workload in services(manifests):
        settings = settings_of(monkeypatch, manifests, workload)
        container = pod(workload)["containers"][0]
        wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        # Probes and balancers notice in their own time that it takes nothing new.
        assert wait >= 5, title(workload)
        stopped = wait + settings.drain_notice + settings.drain_window + CUT + GRACE
        grace = pod(workload)["terminationGracePeriodSeconds"]
        assert stopped + 5 <= grace, f"{title(workload)}: {stopped} s, and room, in {grace} s"


@every_entry
def test_a_rollout_takes_no_pod_before_another_is_there(entry: str) -> None:
    for workload in services(render(entry)):
        spec = workload["spec"]
        if workload["kind"] == "DaemonSet":
            assert spec["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}
            continue
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert spec["progressDeadlineSeconds"] > 2 * pod(workload)["terminationGracePeriodSeconds"]


@every_entry
def test_probes(entry: str) -> None:
    for workload in services(render(entry)):
        container = pod(workload)["containers"][0]
        paths = {
            "startupProbe": "/livez",
            # /readyz fails where Redis is away: never a reason to restart.
            "livenessProbe": "/livez",
            "readinessProbe": "/readyz",
        }
        for name, path in paths.items():
            probe = container[name]
            assert probe["httpGet"] == {"path": path, "port": "http"}, title(workload)
            # They wait in the same event loop as the streams.
            assert probe["timeoutSeconds"] >= 3, title(workload)
        live, ready = container["livenessProbe"], container["readinessProbe"]
        assert live["periodSeconds"] * live["failureThreshold"] >= 60
        patience = ready["periodSeconds"] * ready["failureThreshold"]
        if workload["metadata"]["name"] == "events":
            # Redis away: it answers 200 and `retry:`, a gateway without a pod 503.
            assert ready["periodSeconds"] <= 3
            assert patience == 120
        else:
            assert patience <= 5, title(workload)


@every_entry
def test_pods_are_restricted(entry: str) -> None:
    """Pod Security Standards, `restricted`; logs reads files of root from its node, and no more."""
    manifests = render(entry)
    for workload in of_kind(manifests, *WORKLOADS):
        spec = pod(workload)
        reads_node = namespace(workload) == "eddyline-logs"
        outer = spec["securityContext"]
        assert outer["seccompProfile"] == {"type": "RuntimeDefault"}, title(workload)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), title(workload)
        for container in containers(workload):
            context = outer | container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, title(workload)
            assert context["readOnlyRootFilesystem"] is True, title(workload)
            assert context["capabilities"] == {"drop": ["ALL"]}, title(workload)
            assert not context.get("privileged"), title(workload)
            assert reads_node or context["runAsNonRoot"] is True, title(workload)
            assert reads_node or context["runAsUser"] > 0, title(workload)
            mounts = {mount["name"]: mount for mount in container.get("volumeMounts", [])}
            for volume in spec.get("volumes", []):
                if "hostPath" in volume:
                    assert reads_node, title(workload)
                    assert mounts[volume["name"]]["readOnly"] is True, title(workload)
        for volume in spec.get("volumes", []):
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], title(workload)


@every_entry
def test_the_namespaces_enforce_it(entry: str) -> None:
    found = {m["metadata"]["name"]: labels(m) for m in of_kind(render(entry), "Namespace")}
    level = "pod-security.kubernetes.io"
    assert set(found) == {"eddyline", "eddyline-logs"}
    assert {found["eddyline"].get(f"{level}/{mode}") for mode in ("enforce", "audit", "warn")} == {
        "restricted"
    }
    # The Gateway takes routes from namespaces of the suite only.
    assert all(given["app.kubernetes.io/part-of"] == "eddyline" for given in found.values())


@every_entry
def test_no_pod_may_speak_to_the_api_server(entry: str) -> None:
    for workload in of_kind(render(entry), *WORKLOADS):
        if workload["metadata"]["name"] != "make-keys":
            assert pod(workload)["automountServiceAccountToken"] is False, title(workload)
        assert pod(workload)["enableServiceLinks"] is False, title(workload)


@every_entry
def test_every_container_says_what_it_needs(entry: str) -> None:
    for workload in of_kind(render(entry), *WORKLOADS):
        for container in containers(workload):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), title(workload)
            assert "memory" in resources["limits"], title(workload)
            # A CPU limit stops the event loop, and all its streams, for parts of each second.
            assert "cpu" not in resources["limits"], title(workload)


@every_entry
def test_images_are_ours_at_this_version_or_pinned(entry: str) -> None:
    images = (ROOT / "k8s" / "components" / "images" / "kustomization.yaml").read_text()
    pushed = {each["newName"] for each in yaml.safe_load(images)["images"] if "newName" in each}
    ours = {f"localhost/eddyline/{name}" for name in (*SERVICES, "loadtests")} | pushed
    for workload in of_kind(render(entry), *WORKLOADS):
        for container in containers(workload):
            name, _, tag = container["image"].rpartition(":")
            assert name, f"{title(workload)}: {container['image']} has no tag"
            assert name in ours | {"redis"}, title(workload)
            assert re.fullmatch(r"\d+\.\d+\.\d+", tag), title(workload)
            if name in ours:
                assert tag == VERSION, title(workload)


def test_no_other_manifest_names_a_registry_or_a_tag_of_ours() -> None:
    for path in (ROOT / "k8s").rglob("*.yaml"):
        for image in re.findall(r"^[ -]*image: (\S+)$", path.read_text(), re.MULTILINE):
            assert re.fullmatch(r"localhost/eddyline/[a-z0-9]+|redis:[\d.]+", image), path


@pytest.mark.parametrize("entry", ENTRIES)
def test_images_are_named_last(entry: str) -> None:
    """A component that came after it would bring images without a tag."""
    kustomization = yaml.safe_load((ROOT / entry / "kustomization.yaml").read_text())
    assert Path(kustomization["components"][-1]).name == "images"


# Parts that belong together


@every_entry
def test_selectors_find_the_pods_of_one_workload(entry: str) -> None:
    manifests = render(entry)
    workloads = of_kind(manifests, *WORKLOADS)
    for workload in workloads:
        assert labels(workload).get("app.kubernetes.io/part-of") == "eddyline", title(workload)
        if workload["kind"] == "Job":
            continue
        selector = workload["spec"]["selector"]["matchLabels"]
        # These outlive any version: a selector can't be changed.
        assert selector.keys() <= {"app.kubernetes.io/name", "app.kubernetes.io/part-of"}
        found = [w for w in workloads if selects(selector, pod_labels(w))]
        assert found == [workload], title(workload)
    for service in of_kind(manifests, "Service"):
        selector = service["spec"]["selector"]
        found = [
            w
            for w in workloads
            if namespace(w) == namespace(service) and selects(selector, pod_labels(w))
        ]
        assert len(found) == 1, title(service)
        names = {p["name"] for c in pod(found[0])["containers"] for p in c.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names, title(service)


@every_entry
def test_a_budget_keeps_replicas_of_every_service(entry: str) -> None:
    manifests = render(entry)
    budgets = of_kind(manifests, "PodDisruptionBudget")
    for workload in services(manifests):
        # KEDA's have none here. Evictions leave a DaemonSet's pods alone.
        if workload["kind"] == "DaemonSet" or workload["spec"].get("replicas", 2) < 2:
            continue
        found = [
            budget["spec"]
            for budget in budgets
            if selects(budget["spec"]["selector"]["matchLabels"], pod_labels(workload))
        ]
        assert [budget["maxUnavailable"] for budget in found] == [1], title(workload)
        # A pod that never got ready must not hold a node up.
        assert found[0]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@every_entry
def test_every_pod_has_its_policies(entry: str) -> None:
    """All that is not allowed is denied, both ways; requests to a service come through."""
    manifests = render(entry)
    for workload in of_kind(manifests, *WORKLOADS):
        policies = [
            policy["spec"]
            for policy in of_kind(manifests, "NetworkPolicy")
            if namespace(policy) == namespace(workload)
            and selects(policy["spec"]["podSelector"].get("matchLabels", {}), pod_labels(workload))
        ]
        types = {name for policy in policies for name in policy["policyTypes"]}
        assert types == {"Ingress", "Egress"}, title(workload)
        allowed = {
            port["port"]
            for policy in policies
            for rule in policy.get("ingress", [])
            for port in rule["ports"]
        }
        for service in of_kind(manifests, "Service"):
            if selects(service["spec"]["selector"], pod_labels(workload)):
                wanted = {port["targetPort"] for port in service["spec"]["ports"]}
                # By kubectl port-forward only, which comes from inside the pod.
                assert wanted - {"web"} <= allowed, title(service)


@pytest.mark.parametrize("entry", ["k8s", "k8s/overlays/dev"])
def test_the_keys_can_be_made_wherever_the_api_server_listens(entry: str) -> None:
    """MicroK8s: 16443; minikube: 8443. And nobody but the Job is let there."""
    found = {m["metadata"]["name"]: m["spec"] for m in of_kind(render(entry), "NetworkPolicy")}
    spec = found["make-keys-to-api-server"]
    assert spec["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "make-keys"}}
    assert spec["egress"] == [{}]


@every_entry
def test_no_secret_is_in_a_manifest(entry: str) -> None:
    assert not of_kind(render(entry), "Secret")


@pytest.mark.parametrize("entry", ["k8s", "k8s/overlays/dev"])
def test_an_empty_cluster_knows_all_kinds(entry: str) -> None:
    for manifest in render(entry):
        group = manifest["apiVersion"].rpartition("/")[0]
        assert group in ("", "apps", "batch", "policy") or group.endswith(".k8s.io"), title(
            manifest
        )
        assert not group.startswith("gateway."), title(manifest)


# Routes


def routes(service: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Methods and paths; the parameters of a path are filled in."""
    registration = SERVICES[service]
    store = {"store": str(folder)} if service == "downloads" else {}
    given = registration.settings(auth="off", **store)
    made = registration.service(Context.from_settings(given), given)
    for route in every_route(made.router.routes):
        for method in route.methods:
            yield method, re.sub(r"\{[^}]*\}", "x", route.path)


def prefixes(manifests: list[Manifest]) -> dict[str, tuple[str, Manifest]]:
    """The service that is asked for paths that begin so, and the rule."""
    found: dict[str, tuple[str, Manifest]] = {}
    for route in of_kind(manifests, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for match in rule.get("matches", []):
                assert match["path"]["type"] == "PathPrefix"
                assert match["path"]["value"] not in found, "who of two is asked is left to chance"
                found[match["path"]["value"]] = (rule["backendRefs"][0]["name"], rule)
    for ingress in of_kind(manifests, "Ingress"):
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            assert path["pathType"] == "Prefix"
            found[path["path"]] = (path["backend"]["service"]["name"], ingress)
    return found


def longest(found: dict[str, tuple[str, Manifest]], path: str) -> tuple[str, Manifest] | None:
    matching = [p for p in found if path == p or path.startswith(f"{p}/")]
    return found[max(matching, key=len)] if matching else None


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("entry", ["k8s/tests/gateway-api", "k8s/tests/ingress"])
def test_every_route_of_a_service_leads_there(entry: str, service: str, tmp_path: Path) -> None:
    found = prefixes(render(entry))
    for _, path in routes(service, tmp_path):
        asked = longest(found, path)
        assert asked is not None, f"{path} is routed to nobody"
        assert asked[0] == service, path


@pytest.mark.parametrize("entry", ["k8s/tests/gateway-api", "k8s/tests/ingress"])
def test_every_prefix_leads_to_a_route(entry: str, tmp_path: Path) -> None:
    for prefix, (service, _) in prefixes(render(entry)).items():
        paths = [path for _, path in routes(service, tmp_path)]
        assert any(f"{path}/".startswith(f"{prefix}/") for path in paths), prefix


@pytest.mark.parametrize("entry", ["k8s/tests/gateway-api", "k8s/tests/ingress"])
def test_nothing_else_is_routed(entry: str) -> None:
    found = prefixes(render(entry))
    assert [path for path in INSIDE if longest(found, path)] == []


def test_gateway_and_ingress_route_alike() -> None:
    gateway, ingress = (
        prefixes(render(f"k8s/tests/{name}")) for name in ("gateway-api", "ingress")
    )
    # The events' bounded ones are parts of `/events` there.
    common = {path: asked for path, (asked, _) in gateway.items() if path.count("/") == 1}
    assert common.items() <= {path: asked for path, (asked, _) in ingress.items()}.items()


@pytest.mark.parametrize("service", SERVICES)
def test_no_gateway_ends_a_stream(service: str, tmp_path: Path) -> None:
    found = prefixes(render("k8s/tests/gateway-api"))
    for method, path in routes(service, tmp_path):
        asked = longest(found, path)
        assert asked is not None
        whole = set(asked[1]["timeouts"].values()) == {"0s"}
        assert asked[1]["timeouts"].keys() == {"request", "backendRequest"}
        bounded = any(f"{path}/".startswith(f"{b}/") for b in SERVICES[service].bounded)
        assert whole is not bounded, f"{method} {path}: {asked[1]['timeouts']}"


def test_no_ingress_keeps_a_byte_back() -> None:
    for ingress in of_kind(render("k8s/tests/ingress"), "Ingress"):
        given = ingress["metadata"]["annotations"]
        nginx = {k.rpartition("/")[2]: v for k, v in given.items() if k.startswith("nginx.")}
        assert nginx["proxy-buffering"] == nginx["proxy-request-buffering"] == "off"
        assert int(nginx["proxy-read-timeout"]) >= Settings.model_fields["heartbeat"].default * 4
        assert int(nginx["proxy-send-timeout"]) >= 3600
        assert ingress["spec"]["rules"][0]["host"] == "eddyline.example.org"


def test_routes_are_attached_where_tls_is() -> None:
    manifests = render("k8s/tests/gateway-api")
    (gateway,) = of_kind(manifests, "Gateway")
    listeners = {listener["name"]: listener for listener in gateway["spec"]["listeners"]}
    assert listeners["https"]["tls"]["certificateRefs"] == [{"name": "eddyline-tls"}]
    for route in of_kind(manifests, "HTTPRoute"):
        (parent,) = route["spec"]["parentRefs"]
        assert parent.get("namespace", namespace(route)) == namespace(gateway), title(route)
        redirects = route["metadata"]["name"] == "to-https"
        assert parent["sectionName"] == ("http" if redirects else "https"), title(route)


# Scaling, scraping, alerts


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if "keda" in (ROOT / e / "kustomization.yaml").read_text()]
)
def test_what_keda_scales_has_no_number_of_its_own(entry: str) -> None:
    manifests = render(entry)
    (scaled,) = of_kind(manifests, "ScaledObject")
    targets = [
        w
        for w in services(manifests)
        if w["metadata"]["name"] == scaled["spec"]["scaleTargetRef"]["name"]
    ]
    assert len(targets) == 1
    assert "replicas" not in targets[0]["spec"]
    (trigger,) = scaled["spec"]["triggers"]
    name = re.findall(r"eddyline_\w+", trigger["metadata"]["query"])
    assert name == [metrics.streams_open._name]
    # Half: the streams of a pod that dies find room on the others.
    assert (
        int(trigger["metadata"]["threshold"]) <= Settings.model_fields["limit_streams"].default / 2
    )
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert scaled["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"


def test_the_operator_scrapes_every_service() -> None:
    manifests = render("k8s/tests/everything")
    (monitor,) = of_kind(manifests, "PodMonitor")
    spec = monitor["spec"]
    found = [
        w
        for w in of_kind(manifests, *WORKLOADS)
        if namespace(w) in spec["namespaceSelector"]["matchNames"]
        and selects(spec["selector"]["matchLabels"], pod_labels(w))
    ]
    assert {w["metadata"]["name"] for w in found} == set(SERVICES)
    (endpoint,) = spec["podMetricsEndpoints"]
    for workload in found:
        (port,) = (
            p for p in pod(workload)["containers"][0]["ports"] if p["name"] == endpoint["port"]
        )
        assert workload["spec"]["template"]["metadata"]["annotations"] == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(port["containerPort"]),
            "prometheus.io/path": endpoint["path"],
        }


def test_the_operators_rules_are_those_of_observability() -> None:
    (rule,) = of_kind(render("k8s/tests/everything"), "PrometheusRule")
    alerts = yaml.safe_load((ROOT / "observability" / "alerts.yml").read_text())
    assert rule["spec"] == alerts, "run make generate"


def test_grafana_finds_every_dashboard() -> None:
    found = {
        name: namespace(config)
        for config in of_kind(render("k8s/tests/everything"), "ConfigMap")
        if labels(config).get("grafana_dashboard") == "1"
        for name in config["data"]
    }
    folder = ROOT / "observability" / "dashboards"
    assert found == {path.name: "eddyline" for path in folder.glob("*.json")}


# The overlays


def test_production_has_no_demo_and_no_redis_or_keys_of_its_own() -> None:
    manifests = render("k8s/overlays/production")
    for workload in services(manifests):
        given = environment(manifests, workload)
        assert not [name for name in given if "DEMO" in name], title(workload)
        assert given.get("CHAT_UPSTREAM") != "demo"
        if workload["kind"] == "Deployment":
            assert workload["spec"].get("replicas", 3) >= 3, title(workload)
    names = {manifest["metadata"]["name"] for manifest in manifests}
    assert not [name for name in names if name.startswith(("redis", "make-keys"))]
    (downloads,) = (w for w in services(manifests) if w["metadata"]["name"] == "downloads")
    (files,) = (v for v in pod(downloads)["volumes"] if v["name"] == "files")
    assert files["persistentVolumeClaim"]["readOnly"] is True


def test_productions_list_names_what_is_to_be_filled_in() -> None:
    folder = ROOT / "k8s" / "overlays" / "production"
    text = (folder / "kustomization.yaml").read_text()
    todo = text.split("\napiVersion", 1)[0]
    kustomization = yaml.safe_load(text)
    own = [name for name in kustomization["resources"] if name.endswith(".yaml")]
    (settings,) = (name for m in kustomization["configMapGenerator"] for name in m["envs"])
    assert [name for name in (*own, settings) if name not in todo] == []


def test_the_databases_are_written_by_one_and_read_by_all() -> None:
    manifests = render("k8s/overlays/production")
    claims = {c["metadata"]["name"]: c["spec"] for c in of_kind(manifests, "PersistentVolumeClaim")}
    # A volume that is made for the claim begins empty: ReadOnlyMany would stay so.
    made = {name: spec for name, spec in claims.items() if "volumeName" not in spec}
    assert {name: spec["accessModes"] for name, spec in made.items()} == {"data": ["ReadWriteMany"]}
    (records,) = (w for w in services(manifests) if w["metadata"]["name"] == "records")
    (volume,) = (v for v in pod(records)["volumes"] if v["name"] == "data")
    assert volume["persistentVolumeClaim"] == {"claimName": "data", "readOnly": True}
    (mount,) = (m for m in pod(records)["containers"][0]["volumeMounts"] if m["name"] == "data")
    assert mount["readOnly"] is True

    (text,) = re.findall(r"<<END\n(.*?)\nEND\n", KUBERNETES, re.DOTALL)
    copy = yaml.safe_load(text)
    spec = copy["spec"]
    assert copy["metadata"]["namespace"] == namespace(records)
    assert spec["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    (container,) = spec["containers"]
    assert container["volumeMounts"] == [{"name": "data", "mountPath": mount["mountPath"]}]
    assert container["image"] == "$image"
    assert f"image=$(kubectl -n {namespace(records)} get deployment records -o " in KUBERNETES
    # The namespace takes no other.
    ours = pod(records)["securityContext"]
    assert spec["securityContext"] == ours
    context = container["securityContext"]
    assert context.items() <= pod(records)["containers"][0]["securityContext"].items()
    assert context.keys() == {"allowPrivilegeEscalation", "capabilities"}


def test_the_page_of_the_load_test_is_where_the_document_says() -> None:
    (service,) = (
        each
        for each in of_kind(render("k8s/tests/loadtest"), "Service")
        if each["metadata"]["name"] == "loadtest"
    )
    (port,) = (each["port"] for each in service["spec"]["ports"] if each["port"] == 8089)
    home = service["metadata"]["namespace"]
    assert f"kubectl -n {home} port-forward service/loadtest {port} " in KUBERNETES


def test_logs_are_asked_of_the_node_that_is_meant() -> None:
    manifests = render("k8s/overlays/production")
    # A gateway asks any pod: the Service's affinity does not hold for it.
    assert longest(prefixes(manifests), "/logs") is None
    assert {asked for asked, _ in prefixes(manifests).values()} == set(SERVICES) - {"logs"}

    (logs,) = (w for w in services(manifests) if w["metadata"]["name"] == "logs")
    (found,) = re.findall(r"^pod=\$\((.+?)\)$", KUBERNETES, re.MULTILINE | re.DOTALL)
    assert f"kubectl -n {namespace(logs)} get pods -o name " in found
    assert "--field-selector spec.nodeName=$node" in found
    (label,) = re.findall(r" -l (\S+)=(\S+)", found)
    assert selects(dict([label]), pod_labels(logs))
    port = pod(logs)["containers"][0]["ports"][0]["containerPort"]
    assert f'kubectl -n {namespace(logs)} port-forward "$pod" 8005:{port} ' in KUBERNETES


def test_the_documentation_has_the_numbers_of_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    row = r"^\| ([a-z, ]+) \| (\d+) s \| (\d+) s \| (.+) s \| (\d+) s \|$"
    rows = re.findall(row, KUBERNETES, re.MULTILINE)
    told = {
        name: (int(wait), int(window), float(rest), int(grace))
        for names, wait, window, rest, grace in rows
        for name in names.split(", ")
    }
    manifests = render("k8s")
    for workload in services(manifests):
        window = settings_of(monkeypatch, manifests, workload).drain_window
        spec = pod(workload)
        wait = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        numbers = (wait, window, CUT + GRACE, spec["terminationGracePeriodSeconds"])
        assert told.get(workload["metadata"]["name"], told["any other"]) == numbers


def test_redis_is_the_one_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["redis"]
    (redis,) = of_kind(render("k8s"), "StatefulSet")
    assert pod(redis)["containers"][0]["image"] == compose["image"]
