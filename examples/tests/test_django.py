"""Django, a Celery worker, Redis, the hub and Chromium; the hub is away while an order is made."""

import pytest
from playwright.async_api import Page, expect

from eddyline.testing import fetch

from .readme import Readme

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("django")]

STATES = ["new", *(f"packing, {percent} %" for percent in (20, 40, 60, 80, 100)), "packed"]


async def published(example: Readme) -> list[tuple[str, str]]:
    answer = await fetch(f"{example.url(8000)}/events/history?topic=orders&limit=100")
    events = (await answer.json())["events"]
    return [(event["data"]["product"], event["data"]["state"]) for event in events]


async def test_a_view_and_a_task_publish_each_event_once_though_the_hub_was_away(
    readme, tool, page: Page, tmp_path
):
    tool("redis-server")
    example = readme("django", EDDYLINE_DRAIN_WINDOW="0.3", DATABASE=str(tmp_path / "db.sqlite3"))
    example.environment["HUB_URL"] = example.url(8000)
    example.environment["REDIS_URL"] = f"redis://127.0.0.1:{example.port(6379)}/0"
    install, redis, hub, worker, django = example.terminals
    await install.install()
    redis.start()
    await example.listens(6379, redis)
    hub.start()
    worker.start()
    await worker.says("ready")
    django.start()
    await example.listens(8001, django)
    await example.listens(8000, hub)

    await page.goto(example.url(8001))
    state, orders = page.locator("#state"), page.locator("#orders li")
    await expect(state).to_have_text("live")
    await page.click("button")
    await expect(orders).to_have_text(["A book: packed"])
    assert await published(example) == [("A book", state) for state in STATES]

    await hub.stop()
    await expect(state).to_have_text("reconnecting")
    await page.fill("[name=product]", "A lamp")
    await page.click("button")
    await worker.says("Retry in")
    hub.start()
    await expect(orders).to_have_text(["A book: packed", "A lamp: packed"], timeout=60_000)
    assert (await published(example))[len(STATES) :] == [("A lamp", state) for state in STATES]
    await page.reload()
    await expect(orders).to_have_text(["A book: packed", "A lamp: packed"])
