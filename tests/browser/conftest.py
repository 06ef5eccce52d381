"""One Chromium for each file, one visitor for each test.

Not one for the whole run: while Playwright is there its event loop runs, and other tests have their own.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browser.page import CHROMIUM, FLAGS, PATIENCE_S, visit
from tests.scripted.app import ScriptedApp

Visitor = Callable[..., Page]

_OURS = re.compile(r"http://(127\.0\.0\.1|localhost):\d+/|data:|blob:")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        if os.environ.get("WARMCHAT_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{CHROMIUM} is absent, and WARMCHAT_REQUIRE_BROWSER=1 asks for it")
        pytest.skip(f"{CHROMIUM} is absent: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visitor(browser: Any) -> Iterator[Visitor]:
    """Makes pages in browsers of their own, none of which asks anything of another machine."""
    requests: list[str] = []
    with ExitStack() as stack:

        def come(address: str | None = None, language: str = "en-US", **options: Any) -> Page:
            context = browser.new_context(locale=language, **options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE_S * 1000)
            context.on("request", lambda request: requests.append(request.url))
            page: Page = context.new_page()
            if address is not None:
                page.goto(address)
            return page

        yield come
    assert [url for url in requests if not _OURS.match(url)] == [], "a request left the machine"


@pytest.fixture
def page(visitor: Visitor, app: ScriptedApp) -> Page:
    """A new visitor's page."""
    opened = visitor()
    visit(opened, app.url)
    return opened
