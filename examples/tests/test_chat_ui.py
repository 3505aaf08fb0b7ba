"""The page as vite builds it, in Chromium, before the real chat service; its connection is cut."""

import re

import pytest
from playwright.async_api import Page, expect

from eddyline.testing import FaultProxy, fetch

from .readme import LONG, Readme

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("chat_ui")]

ANSWER = "Here is my response to '{}': This is a streaming response that appears word by word. "


class Site:
    """The servers of the README; `answered` counts the answers that the chat service has begun."""

    def __init__(self, example: Readme) -> None:
        self.example = example
        self.chat, self.install, self.build, self.back_end, self.dev = example.terminals

    async def start(self) -> None:
        await self.install.install()
        await self.build.run(LONG)
        self.chat.start()
        await self.example.listens(8000, self.chat)
        await self.start_back_end()

    async def start_back_end(self) -> None:
        self.back_end.start()
        await self.example.listens(8001, self.back_end)

    async def asked(self) -> int:
        text = (await (await fetch(f"{self.example.url(8000)}/metrics")).body()).decode()
        ended = r'^eddyline_streams_(?:ended_total|open){kind="pull".*service="chat"} (\S+)$'
        return sum(int(float(value)) for value in re.findall(ended, text, re.M))


@pytest.fixture
async def site(readme, tool) -> Site:
    tool("npm")
    site = Site(readme("chat_ui", EDDYLINE_DRAIN_WINDOW="0.3"))
    await site.start()
    return site


async def ask(page: Page, question: str) -> None:
    await page.get_by_role("textbox").fill(question)
    await page.get_by_role("button", name="Ask").click()


async def test_an_answer_survives_cuts_and_a_reload_of_the_page(site: Site, page: Page):
    async with FaultProxy(site.example.port(8001)) as proxy:
        await page.goto(proxy.url)
        proxy.cut_after = 700  # half of the answer
        proxy.cut()  # else the connection of the page would be used again
        await ask(page, "Hello")
        answer = page.locator("article p").first
        await expect(answer).not_to_be_empty()
        proxy.cut_after = None
        await expect(answer).to_have_text(ANSWER.format("Hello"))
        await expect(page.locator("article")).to_have_attribute("data-state", "whole")
        assert site.back_end.output.count("GET /answers/") > 1, "the connection was never cut"
        assert await site.asked() == 1

        await ask(page, "Again")
        second = page.locator("article p").nth(1)
        await expect(second).not_to_be_empty()
        await page.reload()
        await expect(second).to_have_text(ANSWER.format("Again"))
        await expect(answer).to_have_text(ANSWER.format("Hello"))
        assert await site.asked() == 2

    site.dev.start()
    await site.example.listens(5173, site.dev)
    await page.goto(site.example.url(5173))
    await ask(page, "Hello")
    await expect(page.locator("article p")).to_have_text(ANSWER.format("Hello"))


async def test_an_answer_that_is_not_whole_says_so(site: Site, page: Page):
    await page.goto(site.example.url(8001))
    alerts = page.get_by_role("alert")

    await ask(page, "Stop this")
    await page.get_by_role("button", name="Stop").click()
    await expect(alerts).to_have_text(["This answer is not whole: cancelled."])

    await ask(page, "Cut this")
    await expect(page.locator("article p").nth(2)).not_to_be_empty()
    site.chat.kill()
    await expect(alerts.nth(1)).to_have_text("This answer is not whole: failed.")

    site.chat.start()
    await site.example.listens(8000, site.chat)
    await ask(page, "Forget this")
    await expect(page.locator("article p").nth(4)).not_to_be_empty()
    site.back_end.kill()
    await site.start_back_end()
    await expect(alerts.nth(2)).to_have_text("This answer is not whole: the server has lost it.")
