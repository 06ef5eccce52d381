"""One Chromium for each file, one visitor for each test.

Not one for the whole run: while Playwright is there its event loop runs, and other tests have their own.
"""

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.page import CHROMIUM, FLAGS, visit
from tests.browser.visitors import Visitors
from tests.scripted.app import ScriptedApp

Visitor = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("WARMCHAT_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{CHROMIUM} is absent, and WARMCHAT_REQUIRE_BROWSER=1 asks for it")
        pytest.skip(f"{CHROMIUM} is absent: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def visitors(browser: Browser) -> Visitors:
    return Visitors(browser)


@pytest.fixture
def visitor(visitors: Visitors) -> Iterator[Visitor]:
    """Makes pages of strangers, none of which asks anything of another machine."""
    yield visitors.come
    visitors.leave()
    strayed, visitors.strayed = visitors.strayed, []
    assert strayed == [], "a request left the machine"


@pytest.fixture
def page(visitor: Visitor, app: ScriptedApp) -> Page:
    """A new visitor's page."""
    opened = visitor()
    visit(opened, app.url)
    return opened
