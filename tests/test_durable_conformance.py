"""The conformance tests that the authors of Durable Streams give to servers, unchanged."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr

from eddyline.testing import running
from eddyline_streams.app import create_app
from eddyline_streams.settings import StreamsSettings

HERE = Path(__file__).parent
INSTALLED = HERE.parent / ".tools" / "clients" / "node_modules"


@pytest.fixture
def vitest() -> Path:
    program = INSTALLED / ".bin" / "vitest"
    if program.exists() and (INSTALLED / "@durable-streams" / "server-conformance-tests").exists():
        return program
    message = (
        "npm's @durable-streams/server-conformance-tests is missing: scripts/install-test-clients"
    )
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


async def conform(vitest: Path, url: str, folder: Path) -> tuple[int, list[str]]:
    """The number of tests that passed, and the names of those that did not."""
    # Node looks for packages beside the file; each run has one of its own.
    here = INSTALLED.parent / f"conformance-{os.getpid()}.test.mjs"
    shutil.copyfile(HERE / "clients" / "conformance.test.mjs", here)
    report = folder / "report.json"
    process = await asyncio.create_subprocess_exec(
        vitest,
        *(
            "run",
            "--dir",
            ".",
            "--testTimeout=60000",
            here.name,
            "--reporter=json",
            f"--outputFile={report}",
        ),
        cwd=here.parent,
        env=os.environ | {"DS_URL": url, "DS_SUBSCRIPTIONS": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await process.wait()
    here.unlink()
    results = [
        each
        for file in json.loads(report.read_text())["testResults"]
        for each in file["assertionResults"]
    ]
    failed = [each["fullName"] for each in results if each["status"] == "failed"]
    return sum(each["status"] == "passed" for each in results), failed


@pytest.mark.parametrize("store", ["memory://", "file://{folder}/streams", "{redis}"])
async def test_every_conformance_test_passes(
    vitest: Path, tmp_path: Path, redis_url: str, store: str
) -> None:
    # Some of them wait for the end of a long poll.
    url = SecretStr(store.format(folder=tmp_path, redis=redis_url))
    settings = StreamsSettings(store=url, long_poll=2, cors_origins=("*",))
    async with running(create_app(settings)) as server:
        passed, failed = await conform(vitest, server.url, tmp_path)
    assert failed == []
    assert passed >= 338
