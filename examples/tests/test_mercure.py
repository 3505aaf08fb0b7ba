"""Other people's clients publish and subscribe; the subscriber's connection is cut."""

import re

import pytest

from eddyline.testing import FaultProxy

pytestmark = pytest.mark.xdist_group("mercure")


async def test_published_updates_reach_a_subscriber_that_was_cut_off(readme, tool):
    tool("npm")
    example = readme("mercure")
    python, javascript, hub, subscribe, publish = example.terminals
    hub.start()
    await python.install()
    await javascript.install()
    await example.listens(8000, hub)
    direct = example.url() + "/.well-known/mercure"

    async def published() -> str:
        example.environment["MERCURE_URL"] = direct
        return (await publish.run()).strip()

    async with FaultProxy(example.port(8000)) as proxy:
        example.environment["MERCURE_URL"] = proxy.url + "/.well-known/mercure"
        subscribe.start()
        await subscribe.says("subscribed")
        ids = [await published()]
        await subscribe.says(ids[0])
        proxy.cut()
        ids += [await published() for _ in range(3)]
        await subscribe.says(ids[-1])
    received = re.findall(r'^(\S+) {"state": "paid"}$', subscribe.output, re.M)
    assert received == ids
    assert subscribe.output.count("subscribed") > 1
