"""The page behind proxies, as people set them up."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.page import ask, box, questions, visit
from tests.browser.proxy import proxying
from tests.scripted import Say
from tests.scripted.app import ScriptedApp, serving
from web.languages import say


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    """A server that proxies show below a prefix."""
    with serving(tmp_path_factory.mktemp("data"), "--root-path", "/team/chat") as app:
        yield app


def chats(page: Page, url: str) -> None:
    """A question, the list, and the other page."""
    visit(page, url)
    ask(page, "What is the capital of France?")
    page.locator(".shelf .open").first.click()
    expect(questions(page)).to_have_text(["What is the capital of France?"])
    page.goto(url.rstrip("/") + "/completion")
    expect(page.locator("#run")).to_be_visible()
    page.locator("#to-chat").click()
    expect(box(page)).to_be_editable()


@pytest.mark.parametrize("language", ["en-US", "zh-TW"])
def test_a_proxy_that_hides_the_port_is_told_of_instead_of_a_blank_page(
    app: ScriptedApp, visitor: Visitor, language: str
) -> None:
    with proxying(app.options.port, host="127.0.0.1") as proxy:
        origin = f"http://127.0.0.1:{proxy.port}"
        page = visitor(origin, language)
        said = say(language.replace("en-US", "en"), "foreign", origin=origin, host="127.0.0.1")
        expect(page.get_by_role("alert")).to_have_text(said)


def test_a_trusted_proxy_may_say_the_host_beside(app: ScriptedApp, visitor: Visitor) -> None:
    more = {"X-Forwarded-Host": "127.0.0.1:{port}"}
    with proxying(app.options.port, "127.0.0.1", more) as proxy:
        chats(visitor(), f"http://127.0.0.1:{proxy.port}")


def test_a_proxy_that_passes_the_host_on_needs_no_option(
    app: ScriptedApp, visitor: Visitor
) -> None:
    with proxying(app.options.port, "127.0.0.1:{port}") as proxy:
        chats(visitor(), f"http://127.0.0.1:{proxy.port}")


def test_an_end_of_a_stream_that_comes_late_takes_no_event_along(
    app: ScriptedApp, visitor: Visitor
) -> None:
    with proxying(app.options.port, "127.0.0.1:{port}", is_late=True) as proxy:
        page = visitor()
        visit(page, f"http://127.0.0.1:{proxy.port}")
        for count in range(1, 4):
            ask(page, "What is the capital of France?", count)


@pytest.mark.parametrize("taken_off", ["/team/chat", "/none"])
def test_the_page_stands_below_a_prefix_whether_the_proxy_takes_it_off_or_not(
    prefixed: ScriptedApp, visitor: Visitor, taken_off: str
) -> None:
    prefixed.script.write(Say("Paris."))
    with proxying(prefixed.options.port, "127.0.0.1:{port}", prefix=taken_off) as proxy:
        chats(visitor(), f"http://127.0.0.1:{proxy.port}/team/chat/")
    prefixed.script.reset()
