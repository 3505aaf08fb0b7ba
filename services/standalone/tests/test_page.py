"""The start page holds all that it needs, and its policy allows exactly that."""

import base64
import hashlib
import json
import re

from fastapi import FastAPI

from eddyline.service.app import Context, Service, create_app
from eddyline.service.registry import Example
from eddyline.service.settings import Settings
from eddyline.testing import fetch, running
from eddyline_standalone.access import Access
from eddyline_standalone.page import StartPage

EXAMPLES = [Example("One", "curl {url}/one"), Example("A </script> of another", "curl '{url}/<'")]


def app() -> FastAPI:
    service = Service("standalone", StartPage(EXAMPLES, Access(Settings())).routes())
    return create_app(Context.from_settings(Settings()), [service], "Test")


async def test_its_policy_allows_its_own_script_and_nothing_else() -> None:
    async with running(app()) as server:
        answer = await fetch(server.url + "/")
        text = (await answer.body()).decode()
    policy = answer.headers["content-security-policy"]
    script = re.search(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}' 'self';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    await answer.close()


async def test_it_loads_nothing_from_elsewhere() -> None:
    async with running(app()) as server:
        answer = await fetch(server.url + "/")
        text = (await answer.body()).decode()
    sources = re.findall(r"""(?:src|href|url)=["'](?!data:|/)([^"']+)""", text)
    assert sources == []
    await answer.close()


async def test_it_lists_the_examples_of_the_services() -> None:
    async with running(app()) as server:
        answer = await fetch(server.url + "/")
        text = (await answer.body()).decode()
    found = re.search(r"^const examples = (.*);$", text, re.MULTILINE)
    assert found is not None
    assert json.loads(found[1]) == [[each.title, each.command] for each in EXAMPLES]
    await answer.close()
