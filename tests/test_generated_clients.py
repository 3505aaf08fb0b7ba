"""Clients that generators make from the running suite's document: they compile, and they work.

A program in TypeScript and one in Python (tests/clients) use the generated types, and both call the
suite.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("openapi")]

CLIENTS = Path(__file__).parent / "clients"
INSTALLED = Path(__file__).parents[1] / ".tools" / "clients" / "node_modules"

KEY = "a key for tests, of more than 32 bytes"
SCOPES = "events:publish events:subscribe downloads:read logs:read records:read"  # not events:kick

STRICT = (
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noEmitOnError"),
    *("--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom,dom.asynciterable"),
)


@pytest.fixture(scope="module")
def suite(launch: Any) -> Iterator[Any]:
    with launch("eddyline_standalone", EDDYLINE_AUTH_KEY=KEY) as served:
        yield served


@pytest.fixture(scope="module")
def document(suite: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    with urllib.request.urlopen(suite.url + "/openapi.json", timeout=30) as answer:
        path.write_bytes(answer.read())
    return path


@pytest.fixture
def token() -> str:
    return jwt.encode({"sub": "client", "exp": 2**32, "scope": SCOPES}, KEY, "HS256")


@pytest.fixture
def installed() -> Path:
    if (INSTALLED / "openapi-typescript").exists():
        return INSTALLED
    message = "npm's openapi-typescript is missing: scripts/install-test-clients"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(said: dict[str, Any]) -> None:
    one, two = said["published"]
    assert said["history"][-2:] == [
        [one, "clients/1", "message", {"n": 1}],
        [two, "clients/2", "changed", "two"],
    ]
    assert "users.csv" in said["files"]
    assert said["part"] == [206, "id"]
    status, title, detail = said["problem"]
    assert (status, title) == (404, "Not found")
    assert "there is no dataset 'none'" in detail
    assert said["forbidden"] == [403, "Forbidden"]


def test_a_client_in_typescript_compiles_and_works(
    suite: Any,
    document: Path,
    token: str,
    installed: Path,
    tool: Callable[..., str],
    tmp_path: Path,
) -> None:
    node = tool("node")
    (tmp_path / "node_modules").symlink_to(installed)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "suite.ts").write_bytes((CLIENTS / "suite.ts").read_bytes())
    generator = installed / "openapi-typescript" / "bin" / "cli.js"
    run(node, generator, document, "--output", tmp_path / "schema.ts")
    compiler = installed / "typescript" / "bin" / "tsc"
    run(node, compiler, *STRICT, "suite.ts", cwd=tmp_path)
    said = json.loads(run(node, tmp_path / "suite.js", suite.url, token))
    check(said)
    assert said["line"] == "app.log"


def test_a_client_in_python_is_typed_and_works(
    suite: Any, document: Path, token: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []\n")
    package = tmp_path / "suite_client"
    generate = (sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none")
    run(*generate, "--path", document, "--config", config, "--output-path", package)

    paths = json.loads(document.read_text())["paths"]
    named = {operation["operationId"] for item in paths.values() for operation in item.values()}
    modules = {path.stem for path in package.glob("api/*/*.py")} - {"__init__"}
    assert modules == named, "each operation has a function of its name"

    program = tmp_path / "suite_user.py"
    program.write_bytes((CLIENTS / "suite_user.py").read_bytes())
    cache = tmp_path / "mypy"
    run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, program, cwd=tmp_path)
    check(json.loads(run(sys.executable, program, suite.url, token, cwd=tmp_path)))
