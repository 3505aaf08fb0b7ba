"""The READMEs of the examples of the library; those of other examples have tests of their own."""

import json
import re

import pytest

from .readme import EXAMPLES


async def test_the_five_lines_as_the_readme_has_them(readme, tool):
    tool("curl")
    example = readme("fastapi_app")
    server, subscribe, publish = example.terminals
    server.start()
    await example.listens(8000, server)
    subscribe.start()
    await subscribe.says(": ")  # it is subscribed once the head's comment is there
    id = json.loads((await publish.run()).splitlines()[-1])
    await subscribe.says(f'id: {id}\ndata: {{"id":7}}')


async def test_a_resumable_yield_as_the_readme_has_it(readme, tool):
    tool("curl")
    example = readme("resumable_yield")
    server, read, cancel = example.terminals
    server.start()
    await example.listens(8000, server)
    output = await read.run()
    assert "event: eddyline.end" in output
    [run] = json.loads(output.splitlines()[-1])
    assert re.findall(r"^data: (\d+)$", output, re.M) == [str(value) for value in run]
    assert (await cancel.run()).endswith("false")


@pytest.mark.parametrize("name", ["yield_fastapi", "yield_sse_starlette"])
async def test_the_same_by_other_means(readme, tool, name):
    tool("curl")
    example = readme(name)
    server, read = example.terminals
    server.start()
    await example.listens(8000, server)
    output = await read.run()
    assert len(re.findall(r"^data: \d+\r?$", output, re.M)) == 50
    assert "event: end" in output


def test_the_list_of_examples_has_each():
    folders = {path.parent.name for path in EXAMPLES.glob("*/README.md")}
    listed = set(re.findall(r"\]\((\w+)\)", (EXAMPLES / "README.md").read_text()))
    assert listed == folders
