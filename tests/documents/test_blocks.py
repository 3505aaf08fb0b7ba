"""Every block of code in the documents does, beside one running suite, as it is printed."""

import ast
import asyncio
import inspect
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents.blocks import DOCUMENTS, ROOT, Block, blocks
from playwright.sync_api import Browser, Page

from eddyline.auth.authenticator import Authenticator
from eddyline.auth.jwt import JwtVerifier, OneKey
from eddyline.auth.keys import secret_key

pytestmark = pytest.mark.xdist_group("documents")

ALL = [block for document in DOCUMENTS for block in blocks(document)]
PROGRAMS = Path(__file__).parent / "programs"

#: The suite, as the documents write it.
SUITE = "http://127.0.0.1:8000"

#: Blocks that are no code: drawings, output of a program.
NO_CODE = {"", "text", "mermaid"}
RUN_HERE = {"sh", "python", "js", "json", "toml", "yaml"}

#: Seconds that a block may take.
PATIENCE = 60.0


def of(*languages: str) -> Any:
    """The blocks of these languages that run here, by their places."""
    chosen = [block for block in ALL if block.language in languages and not block.tested]
    return pytest.mark.parametrize("block", chosen, ids=map(str, chosen))


@pytest.fixture(scope="module")
def suite(launch: Any) -> Iterator[str]:
    with launch("eddyline_standalone") as served:
        yield served.url


@pytest.mark.parametrize("block", ALL, ids=map(str, ALL))
def test_every_block_runs_here_or_names_the_tests_that_run_it(block: Block) -> None:
    if block.language in NO_CODE:
        programs = r"make|curl|docker|kubectl|pip|uv|npm|npx|eddyline"
        assert not re.search(rf"^(?:\$ )?(?:{programs}) ", block.code, re.MULTILINE)
    elif not block.tested:
        assert block.language in RUN_HERE
    for test in block.tested:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), test
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(), re.M), test


# Shell: all blocks of a document are one session in one folder, as its reader has it.

DOCUMENTS_WITH_COMMANDS = [
    document for document in DOCUMENTS if any(b.language == "sh" for b in blocks(document))
]


@pytest.fixture
def session(suite: str, tool: Callable[..., str], tmp_path: Path) -> Callable[[str], str]:
    """Runs a script beside the suite; returns its output."""
    environment = os.environ | {
        "SUITE": suite,
        "CURL": tool("curl"),
        "MAKE_PROGRAM": tool("make"),
        "PYTHON": sys.executable,
        "REPOSITORY": str(ROOT),
        "PATH": f"{PROGRAMS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
        return f"{done.stdout}\x1e{done.returncode}"

    return run


@pytest.mark.parametrize(
    "document", DOCUMENTS_WITH_COMMANDS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_commands_run(document: Path, session: Callable[[str], str]) -> None:
    commands = [b for b in blocks(document) if b.language == "sh" and not b.tested]
    said = session("\n".join(f"printf '\\x1e'\n{block.code}" for block in commands)).split("\x1e")
    outputs, code = said[1:-1], said[-1]
    assert code == "0", f"{commands[len(outputs) - 1]} ended with {code}:\n{outputs[-1][-2000:]}"
    for block, output in zip(commands, outputs, strict=True):
        assert block.prints in output, f"{block} printed {output[-2000:]}"


def test_the_examples_of_the_readme_resume(session: Callable[[str], str]) -> None:
    (block,) = [b for b in blocks(ROOT / "README.md") if "after=$id" in b.code]
    said = session(block.code)
    assert re.findall(r"^data: (.*)$", said, re.MULTILINE) == ['{"id":8}']
    assert "eddyline.reset" not in said


marked = [block for block in ALL if block.tested and block.language == "sh"]


@pytest.mark.parametrize("block", marked, ids=map(str, marked))
def test_commands_that_run_elsewhere_are_well_formed(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
    assert done.stderr == ""
    targets = re.findall(r"^make ([\w-]+.*?)(?: *#.*)?$", block.code, re.MULTILINE)
    for target in targets:
        command = ["make", "-n", "-C", str(ROOT), *target.split()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


# Python: in this process, so that each costs no start of its own.


@of("python")
async def test_python_runs(
    block: Block, suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = asyncio.Event()
    names = {"__name__": "main", "print": lambda *values, **how: printed.set(), "token": None}
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(block.code.replace(SUITE, suite), str(block), "exec", flags)
    made = eval(code, names)
    if not inspect.iscoroutine(made):
        return
    # One that follows a stream has no end: it is done when something was printed.
    running = asyncio.ensure_future(made)
    waiting = asyncio.ensure_future(printed.wait())
    await asyncio.wait((running, waiting), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    assert printed.is_set() or (running.done() and running.result() is None)
    for task in (running, waiting):
        task.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)


async def test_the_token_of_the_guide_is_good() -> None:
    (block,) = [b for b in ALL if b.document.name == "access.md" and b.language == "python"]
    names: dict[str, Any] = {}
    exec(block.code, names)
    key = secret_key(names["key"].encode(), "the guide")
    principal = await Authenticator(JwtVerifier(OneKey(key))).verify(names["token"])
    assert principal.subject == "alice"
    assert principal.allows("events", "subscribe", "orders/7")
    assert not principal.allows("events", "subscribe", "news")


# JavaScript: in a page of the suite.


@pytest.fixture(scope="module")
def page(chromium: Browser, suite: str) -> Iterator[Page]:
    context = chromium.new_context(bypass_csp=True)
    yield context.new_page()
    context.close()


@of("js")
def test_javascript_runs_in_a_page(block: Block, suite: str, page: Page) -> None:
    assert block.prints, f"{block} has no mark for the text that shows that it works"
    faults: list[str] = []
    said: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{suite}/docs")
    page.evaluate("document.body.replaceChildren(); self.show = self.reload = console.log")
    page.add_script_tag(content=block.code, type="module")
    for _ in range(int(PATIENCE * 10)):
        publish(suite)
        page.wait_for_timeout(100)  # sleep: between two looks at a condition
        text = "\n".join([*said, page.inner_text("body")])
        if faults or block.prints in text:
            break
    assert faults == []
    assert block.prints in text


def test_the_picture_of_the_readme_can_be_made_again(
    chromium: Browser, suite: str, tmp_path: Path
) -> None:
    picture = runpy.run_path(str(ROOT / "docs" / "site" / "picture.py"))
    picture["take"](chromium, suite, tmp_path / "picture")
    for made in (tmp_path / "picture", picture["PICTURE"]):
        assert made.read_bytes()[8:12] == b"WEBP"
        assert 10_000 < made.stat().st_size < 100_000
    assert f"](docs/{picture['PICTURE'].name})" in (ROOT / "README.md").read_text()


def publish(suite: str) -> None:
    event = json.dumps({"topic": "orders", "data": {"id": 7}}).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{suite}/events", event, headers)).close()


# Data


@of("yaml", "json", "toml")
def test_data_is_well_formed(block: Block) -> None:
    read = {"yaml": yaml.safe_load, "json": json.loads, "toml": tomllib.loads}
    assert read[block.language](block.code)
