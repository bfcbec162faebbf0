"""The live page in a real browser: Chromium without a screen, driven by playwright."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from async_mysqlpool import ConnectionPool
from async_mysqlpool.observability.page import pool_page
from async_mysqlpool.testing.fake import FakeDriver, FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

playwright = pytest.importorskip(
    "playwright.async_api", reason="playwright, which drives the browser, is not installed"
)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here: apt-get install chromium")

HOSTILE = "<img src=x onerror=document.title='hacked'>"
WIDE, PHONE = {"width": 1240, "height": 900}, {"width": 390, "height": 844}


@asynccontextmanager
async def served(page: Any) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(page, port=0, log_level="warning", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def pool() -> AsyncIterator[ConnectionPool]:
    async with ConnectionPool(driver=FakeDriver(FakeServer()), name="shop", max_size=4, queue_timeout=60) as pool:
        yield pool


class Tab:
    """A page of the browser, and everything that it complained about or asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))


@asynccontextmanager
async def tab(pool: ConnectionPool, **context: Any) -> AsyncIterator[Tab]:
    """The page, as soon as it shows something."""
    async with served(pool_page(pool)) as url, playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            opened = Tab(await (await browser.new_context(**context)).new_page())
            await opened.page.goto(url)
            await opened.page.wait_for_selector(".pool", timeout=30_000)
            yield opened
            assert opened.complaints == []
            assert all(asked.startswith((url, "data:")) for asked in opened.asked)
        finally:
            await browser.close()


async def text_of(opened: Tab, selector: str, expected: str) -> None:
    """Wait until it says so."""
    await playwright.expect(opened.page.locator(selector).first).to_contain_text(expected, timeout=20_000)


async def test_it_follows_what_the_pool_does(pool: ConnectionPool):
    async with tab(pool, viewport=WIDE) as opened:
        await text_of(opened, ".use", "0of 4 connections in use")
        await text_of(opened, ".verdict", "Calm")
        held = [await pool.acquire() for _ in range(4)]
        waiter = asyncio.create_task(pool.fetch_value("SELECT 1"), name=HOSTILE)
        await text_of(opened, ".use", "4of 4 connections in use, 1 task waiting")
        await text_of(opened, ".verdict", "Full")
        await text_of(opened, "#news", "shop: Full. 1 task waits")
        await text_of(opened, "tbody", f"{__file__}:")
        assert await opened.page.title() == "4/4 shop"
        assert await opened.page.locator(".slots .in_use").count() == 4
        for connection in held:
            connection.close()
        await waiter
        await text_of(opened, ".verdict", "Nobody waits")
        await playwright.expect(opened.page.get_by_text("Nobody holds a connection.")).to_be_visible(timeout=20_000)


async def test_names_are_text_and_never_markup(pool: ConnectionPool):
    async def hold() -> None:
        async with pool.acquire(site=HOSTILE):
            await asyncio.sleep(60)

    async with tab(pool, viewport=WIDE) as opened:
        task = asyncio.create_task(hold(), name=HOSTILE)
        await text_of(opened, "tbody", HOSTILE)
        assert await opened.page.locator("img").count() == 0
        assert "hacked" not in await opened.page.title()
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_can_be_read(pool: ConnectionPool, scheme: str):
    """Contrast of at least 4.5, as WCAG 2 wants it."""
    async with pool.acquire(), tab(pool, viewport=WIDE, color_scheme=scheme) as opened:
        await text_of(opened, "tbody", __file__)
        contrasts = await opened.page.evaluate(CONTRASTS)
    assert len(contrasts) > 30
    assert [(text, ratio) for text, ratio in contrasts if ratio < 4.5] == []


CONTRASTS = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility())
    .filter((one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .filter((one) => !["SCRIPT", "STYLE"].includes(one.tagName))
    .map((one) => {
      const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
      return [one.textContent.slice(0, 40), (a + .05) / (b + .05)];
    });
}"""


@pytest.mark.parametrize("width", [320, 390, 768, 1240])
async def test_nothing_sticks_out(pool: ConnectionPool, width: int):
    async with pool.acquire(site="/a/long/path" * 12), tab(pool, viewport={"width": width, "height": 800}) as opened:
        await text_of(opened, "tbody", "/a/long/path")
        assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_by_keyboard(pool: ConnectionPool):
    async with tab(pool, viewport=WIDE) as opened:
        press, focused = opened.page.keyboard.press, opened.page.locator(":focus")
        await press("Tab")
        assert await focused.text_content() == "Skip to the pools"
        await press("Tab")
        assert await focused.text_content() == "Pause"
        await press("Enter")
        await text_of(opened, "#live", "paused")
        await press("Enter")
        await text_of(opened, "#live", "live")
        await press("Tab")
        await text_of(opened, ".figure .at", "at most 0 in")
        await press("ArrowLeft")
        assert " at " in (await focused.get_attribute("aria-label") or "")
        await press("Escape")
        assert "now 0, at most 0" in (await focused.get_attribute("aria-label") or "")


async def test_to_a_screen_reader(pool: ConnectionPool):
    async with pool.acquire(), tab(pool, viewport=PHONE) as opened:
        await text_of(opened, "tbody", __file__)
        page = opened.page
        await playwright.expect(page.get_by_role("region", name="shop")).to_be_attached()
        table = page.get_by_role("table", name="Who holds a connection")
        assert await table.get_by_role("columnheader").all_text_contents() == [
            "since", "acquired at", "task", "connection",
        ]  # fmt: skip
        assert await table.get_by_role("cell").count() == 4
        for name in ("In use", "Tasks waiting", "Mean wait", "Mean time held", "Borrows"):
            await playwright.expect(page.get_by_role("img", name=f"{name}: now")).to_be_attached()
        assert await page.get_by_role("button", name="Pause").get_attribute("aria-pressed") == "false"
        assert await page.locator("html").get_attribute("lang") == "en"


async def test_a_server_that_is_gone_is_said(pool: ConnectionPool):
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        opened = Tab(await browser.new_page())
        async with served(pool_page(pool)) as url:
            await opened.page.goto(url)
            await text_of(opened, "#live", "live")
        await text_of(opened, "#live", "no answer")
        await browser.close()
