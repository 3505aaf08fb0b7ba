"""`make k8s-up`: from nothing to the first token. The programs that it calls are scripts here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

KUBECTL = """#!/bin/sh
echo "kubectl $*" >>"$SAID"
case "$*" in
*current-context*) echo "$CONTEXT"; [ -n "$CONTEXT" ] ;;
version*) exit ${NO_CLUSTER:-0} ;;
apply*) exit ${APPLY_FAILS:-0} ;;
*"get deployment,statefulset"*) echo deployment.apps/events ;;
*"rollout status"*) exit ${ROLLOUT_FAILS:-0} ;;
*jsonpath*) echo "${NAMES_OF_KEYS-EDDYLINE_AUTH_KEY}" ;;
*"eddyline token"*) echo a.b.c ;;
esac
"""

#: Of docker, make, kind, k3d and minikube.
OTHER = """#!/bin/sh
echo "$(basename "$0") $*" >>"$SAID"
case "$0 $*" in *"make "*images*) exit ${BUILD_FAILS:-0} ;; esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "scripts/k8s-up",
        "scripts/need-docker",
        "k8s/components/images/kustomization.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in ("docker", "make", "kind", "k3d", "minikube", "kubectl"):
        (tmp_path / "bin" / name).write_text(KUBECTL if name == "kubectl" else OTHER)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def up(folder: Path, **told: str) -> tuple[int, str, list[str]]:
    """The exit code, all that it said, and the commands that it ran."""
    said = folder / "said"
    said.unlink(missing_ok=True)
    path = f"{folder}/bin:{os.environ['PATH']}"
    variables = {"PATH": path, "SAID": str(said), "TAG": "9", "NAMES": "events logs"}
    done = subprocess.run(
        [folder / "scripts" / "k8s-up", "k8s"],
        env=variables | {"CONTEXT": "kind-lab"} | told,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr, said.read_text().splitlines()


def test_from_nothing_to_a_first_curl(folder: Path) -> None:
    code, said, ran = up(folder)
    assert code == 0, said
    assert "export TOKEN=a.b.c" in said
    assert re.search(
        r'curl -N -H "Authorization: Bearer \$TOKEN" http://127.0.0.1:8102/events', said
    )
    order = ["make --no-print-directory images", "docker save", "kind load", "kubectl apply -k k8s"]
    places = [next(i for i, line in enumerate(ran) if line.startswith(each)) for each in order]
    assert places == sorted(places)
    assert "localhost/eddyline/events:9 localhost/eddyline/logs:9" in ran[places[1]]
    assert not Path(ran[places[2]].split()[-1]).exists(), "the archive was left behind"


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-lab", "kind load image-archive --name lab"),
        ("k3d-lab", "k3d image import --cluster lab"),
        ("minikube", "minikube image load"),
    ],
)
def test_images_come_in_the_way_of_the_cluster(folder: Path, context: str, command: str) -> None:
    code, said, ran = up(folder, CONTEXT=context)
    assert code == 0, said
    assert any(line.startswith(command) for line in ran)


def test_a_cluster_on_this_docker_has_them_already(folder: Path) -> None:
    code, said, ran = up(folder, CONTEXT="docker-desktop")
    assert code == 0, said
    assert not any("save" in line for line in ran)


def test_a_registry_is_pulled_from(folder: Path) -> None:
    images = folder / "k8s/components/images/kustomization.yaml"
    images.write_text(images.read_text() + "    newName: registry.example/eddyline\n")
    code, said, ran = up(folder, CONTEXT="production")
    assert code == 0, said
    assert all(line.startswith("kubectl ") for line in ran)


@pytest.mark.parametrize(
    ("told", "hint"),
    [
        ({"CONTEXT": ""}, "kubectl has no context"),
        ({"NO_CLUSTER": "1"}, "no cluster answers in the context kind-lab"),
        ({"CONTEXT": "production"}, "make push REGISTRY="),
        ({"BUILD_FAILS": "1"}, "could not be built"),
        ({"APPLY_FAILS": "1"}, "could not be applied"),
        ({"ROLLOUT_FAILS": "1"}, "kubectl -n eddyline describe deployment.apps/events"),
    ],
)
def test_a_fault_says_how_to_go_on(folder: Path, told: dict[str, str], hint: str) -> None:
    code, said, _ = up(folder, **told)
    assert (code, "export TOKEN" in said) == (1, False)
    assert hint in said


def test_nothing_is_done_before_the_way_of_the_images_is_known(folder: Path) -> None:
    _, _, ran = up(folder, CONTEXT="production")
    assert not any("apply" in line or line.startswith("make") for line in ran)


def test_where_another_signs_the_tokens_it_makes_none(folder: Path) -> None:
    code, said, _ = up(folder, NAMES_OF_KEYS="EDDYLINE_AUTH_JWKS")
    assert (code, "TOKEN" in said) == (0, False)
