"""The page in Chromium, of another origin than its hub; the hub's connection is cut."""

import re

import pytest
from playwright.async_api import Page, expect

from eddyline.testing import FaultProxy, fetch

pytestmark = pytest.mark.xdist_group("browser")


async def test_the_page_shows_orders_through_cuts_and_says_that_a_journal_is_gone(
    readme, page: Page
):
    example = readme("live_page", EDDYLINE_DRAIN_WINDOW="0.3")
    hub, pages, order = example.terminals
    hub.start()
    pages.start()
    await example.listens(8000, hub)
    await example.listens(8080, pages)
    await order.run()
    state, note, orders = (page.locator(f"#{id}") for id in ("state", "note", "orders li"))

    async def publish(*ids: int) -> None:
        for id in ids:
            body = b'{"topic": "orders", "data": {"id": %d, "state": "new"}}' % id
            answer = await fetch(f"{example.url()}/events", method="POST", body=body)
            assert answer.status == 201

    async with FaultProxy(example.port(8000)) as proxy:
        await page.goto(f"{example.url(8080)}/?hub={proxy.url}")
        await expect(orders).to_have_text(["order 7: paid"])
        for first in (8, 18):
            await publish(first)
            proxy.cut()
            await publish(*range(first + 1, first + 10))
            newest = [f"order {n}: new" for n in range(first + 9, 7, -1)]
            await expect(orders).to_have_text([*newest, "order 7: paid"])
        await expect(state).to_have_text("live")
        await expect(note).to_be_empty()

        await hub.stop()
        await expect(state).to_have_text("reconnecting")
        hub.start()
        await example.listens(8000, hub)
        await page.evaluate("dispatchEvent(new Event('online'))")  # the page waits no longer
        await publish(1)
        await expect(note).to_have_text(re.compile("missing .*epoch"))
        await expect(orders).to_have_text(["order 1: new"])


async def test_the_page_names_a_hub_that_is_away(readme, page: Page):
    example = readme("live_page")
    _, pages, _ = example.terminals
    pages.start()
    await example.listens(8080, pages)
    away = example.url()
    await page.goto(f"{example.url(8080)}/?hub={away}")
    await expect(page.locator("#state")).to_contain_text(f"no hub answers at {away}")
