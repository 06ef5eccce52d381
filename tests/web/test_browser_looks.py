"""How the page looks and who can use it: axe-core, a phone's width, and that nothing is fetched elsewhere."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.web.browsing import App, eventually, finished, lines, send
from web.languages.texts import say

pytestmark = pytest.mark.browser

WIDE, PHONE = (1280, 800), (390, 844)
Visit = Callable[..., Page]

# What axe finds inside Gradio's own components: (rule, selector) and why it stays.
GRADIOS: dict[tuple[str, str], str] = {}


@pytest.fixture
def visit(browser: Any, app: App) -> Iterator[Visit]:
    """Opens the page anew; whatever it asks for is of the app."""
    requests: list[str] = []
    with ExitStack() as stack:

        def opened(
            path: str = "", *, locale: str = "en-US", theme: str = "light", size: Any = WIDE
        ) -> Page:
            context = browser.new_context(
                locale=locale,
                viewport=dict(zip(("width", "height"), size, strict=True)),
                reduced_motion="reduce",
                has_touch=size == PHONE,
            )
            stack.callback(context.close)
            page: Page = context.new_page()
            page.on("request", lambda request: requests.append(request.url))
            page.goto(f"{app.url}/{path}?__theme={theme}")
            expect(page.locator("#status .ready")).to_be_attached()
            return page

        yield opened
    assert requests
    away = [url for url in requests if not url.startswith((app.url, "data:", "blob:"))]
    assert away == [], "a request left the machine"


def serious(page: Page) -> list[str]:
    """axe-core's serious and critical findings that are not Gradio's known ones."""
    page.wait_for_timeout(600)  # what slides in has arrived, and colours no longer change
    violations = Axe().run(page).response["violations"]
    return [
        f"{rule['id']} {' '.join(node['target'])}: {node['html'][:160]} {node['failureSummary']}"
        for rule in violations
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
        if not any(
            rule["id"] == known
            and page.locator(node["target"][0]).and_(page.locator(selector)).count()
            for known, selector in GRADIOS
        )
    ]


@pytest.mark.parametrize(
    ("locale", "theme"),
    [("en-US", "light"), ("en-US", "dark"), ("zh-CN", "light"), ("zh-CN", "dark")],
)
def test_everybody_can_use_every_screen(visit: Visit, locale: str, theme: str) -> None:
    page, findings = visit(locale=locale, theme=theme), {}
    findings["empty"] = serious(page)
    send(page, "What is the capital of France?")
    finished(page, 1)
    expect(page.locator(".shelf li")).to_have_count(1)
    findings["answered"] = serious(page)
    page.locator(".sidebar.right .toggle-button").click()
    expect(page.locator(".panel svg")).not_to_have_count(0)
    findings["panel"] = serious(page)
    page.locator(".sidebar.right .toggle-button").click()
    page.locator("#settings button").first.click()
    expect(page.locator("#sampling-preset")).to_be_visible()
    findings["settings"] = serious(page)
    assert {screen: found for screen, found in findings.items() if found} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_the_page_of_completion(visit: Visit, theme: str) -> None:
    page = visit("completion", theme=theme)
    expect(page.locator("#prompt textarea")).not_to_have_value("")
    page.locator("#run").click()
    expect(page.locator("#figures .figures")).to_be_visible()
    expect(page.locator("#run")).to_be_enabled()
    assert serious(page) == []


def width_beyond(page: Page) -> int:
    """How far the page scrolls sideways."""
    return int(page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth"))


def is_on_top(part: Locator) -> bool:
    """Whether a finger in its middle, and near its edges, meets it and not something that covers it."""
    return bool(
        part.evaluate("""part => {
            const box = part.getBoundingClientRect();
            const meets = (x, y) => part.contains(document.elementFromPoint(x, y));
            const [left, right, top, bottom] = [box.left + 3, box.right - 3, box.top + 3, box.bottom - 3];
            const middle = [(left + right) / 2, (top + bottom) / 2];
            return box.left >= 0 && box.right <= window.innerWidth && box.bottom <= window.innerHeight
                && [[...middle], [left, middle[1]], [right, middle[1]],
                    [middle[0], top], [middle[0], bottom]].every((point) => meets(...point));
        }""")
    )


def covered(parts: dict[str, Locator]) -> list[str]:
    """The names of those that a finger does not meet."""
    return [name for name, part in parts.items() if not is_on_top(part)]


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_everything_is_in_reach_on_a_phone(visit: Visit, locale: str) -> None:
    page = visit(locale=locale, size=PHONE)
    conversations = page.locator("#conversations")
    toggle = page.locator(".sidebar:not(.right) .toggle-button")
    expect(conversations).not_to_have_class(re.compile(r"\bopen\b"))
    parts = {
        "brand": page.locator("#brand svg"),
        "language": page.locator("#language select"),
        "new chat": page.locator("#new-chat"),
        "list": toggle,
        "panel": page.locator(".sidebar.right .toggle-button"),
        "box": page.locator("#message textarea"),
        "send": page.get_by_test_id("submit-button").first,
    }
    eventually(page, lambda: covered(parts), [])
    assert width_beyond(page) <= 0
    send(page, "What is the capital of France?")
    finished(page, 1)
    answer_tools = {
        "edit": page.locator("#chat").get_by_label(re.compile("Edit|编辑")).first,
        "retry": page.locator("#chat").get_by_label(re.compile("Retry|重试")).last,
    }
    for part in answer_tools.values():
        part.scroll_into_view_if_needed()
    shown = answer_tools | parts
    eventually(page, lambda: covered(shown), [])
    assert width_beyond(page) <= 0
    toggle.click()
    expect(page.locator(".shelf .open").first).to_be_visible()
    listed = {"conversation": page.locator(".shelf .open").first, "list": toggle}
    eventually(page, lambda: covered(listed), [])
    page.locator(".shelf .open").first.click()
    expect(conversations).not_to_have_class(re.compile(r"\bopen\b"))
    expect(lines(page)).to_have_count(1)


def test_a_whole_visit_asks_only_this_machine(visit: Visit) -> None:
    """The fixture looks at the requests."""
    page = visit()
    page.get_by_role("button", name=say("en", "new_chat")).click()
    send(page, "Show a *formula*, $e^x$, a table and code.")
    finished(page, 1)
    page.locator("#settings button").first.click()
    page.locator(".sidebar.right .toggle-button").click()
    expect(page.locator(".panel")).to_be_visible()
    page.locator("#to-completion").click()
    expect(page.locator("#prompt textarea")).not_to_have_value("")
    page.locator("#run").click()
    expect(page.locator("#figures .figures")).to_be_visible()
    page.reload()
    expect(page.locator("#run")).to_be_visible()
