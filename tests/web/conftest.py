"""Options, scripted engines, and the app in Chromium, for the page's tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from engine import Engine
from tests.scripted import Engines
from tests.web.browsing import CHROMIUM, FLAGS, App, free_port, start, visit, watch
from web.options import Options, parse_options
from web.startup import Startup


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return parse_options(["--data-dir", str(tmp_path)], environ={})


@pytest.fixture
def engines() -> Iterator[Engines]:
    """Makes scripted engines, which end with the test."""
    made = Engines()
    yield made
    made.close()


@pytest.fixture
def started(options: Options) -> Callable[[Engine], Startup]:
    """A start that is over, well or not, with an engine that was made for it."""

    def start(engine: Engine) -> Startup:
        startup = Startup(options, lambda _options, _progress: engine).start()
        startup._thread.join()
        return startup

    return start


@pytest.fixture(scope="module")
def app(smollm2_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = start(smollm2_dir, tmp_path_factory.mktemp("data"), free_port())
    try:
        running.wait_ready()
        yield running
    finally:
        running.program.kill()
        running.program.wait()


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
def page(browser: Any, app: App) -> Iterator[Page]:
    context = browser.new_context(locale="en-US")
    opened = context.new_page()
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    watch(opened)
    visit(opened, app)
    yield opened
    context.close()
    away = [url for url in requests if not url.startswith((app.url, "data:", "blob:"))]
    assert away == [], "a request left the machine"
