"""How the page looks and who can use it: axe-core's findings, and what a finger reaches on a phone."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import states
from tests.browser.axe import findings
from tests.browser.conftest import Visitor
from tests.browser.page import ask, known, lines, new_chat, open_drawer, unfold_settings
from tests.scripted import Say
from tests.scripted.app import ScriptedApp, serving

FRANCE = "What is the capital of France?"
UNFOLDED = re.compile(r"\bopen\b")
RICH = """A formula, $e^x$, and one of its own:

$$\\int_0^1 x\\,dx$$

| a | b |
|---|---|
| 1 | 2 |

```python
print("code")
```
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    with serving(tmp_path_factory.mktemp("data"), can_think=True) as app:
        yield app


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", states.SIZES)
def test_everybody_can_use_every_screen(
    visitor: Visitor, app: ScriptedApp, size: str, theme: str
) -> None:
    page = visitor(**states.SIZES[size], color_scheme=theme)
    found = set()
    for state in states.STATES:
        state(page, app)
        found |= {f"{state.__name__}: {finding}" for finding in findings(page)}
    assert not found, "\n".join(sorted(found))


IN_REACH = """selector => {
    const part = document.querySelector(selector), box = part?.getBoundingClientRect();
    if (!box) return false;
    const meets = ([x, y]) => part.contains(document.elementFromPoint(x, y));
    const [left, right, top, bottom] = [box.left + 3, box.right - 3, box.top + 3, box.bottom - 3];
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    return box.left >= 0 && box.right <= window.innerWidth && box.bottom <= window.innerHeight
        && [[x, y], [left, y], [right, y], [x, top], [x, bottom]].every(meets);
}"""


def in_reach(page: Page, *selectors: str) -> None:
    """Wait until a finger in their middles, and near their edges, meets all these and no cover of them."""
    for selector in selectors:
        try:
            page.wait_for_function(IN_REACH, arg=selector)
        except TimeoutError:
            pytest.fail(f"{selector} is not in reach")


def fits(page: Page) -> None:
    """Wait until the page does not scroll sideways."""
    page.wait_for_function("document.scrollingElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_everything_is_in_reach_on_a_phone(
    visitor: Visitor, app: ScriptedApp, language: str
) -> None:
    page = visitor(app.url, language, **states.PHONE)
    known(page)
    conversations, opened = page.locator("#conversations"), ".shelf [data-act=open]"
    expect(conversations).not_to_have_class(UNFOLDED)
    toggle, drawer = ".sidebar:not(.right) .toggle-button", "#drawer-buttons [data-tab={}]"
    tabs = drawer.format("settings"), drawer.format("engine")
    always = "#new-chat-phone", toggle, *tabs, "#message textarea"
    in_reach(page, *always, "#message .submit-button")
    fits(page)
    ask(page, FRANCE)
    for names in ("Edit", "编辑"), ("Retry", "重试"), ("Edit answer", "编辑回答"):
        button = "#chat :is(.tools, .message-buttons-right) :is({})".format(
            ", ".join(f"[aria-label='{name}']" for name in names)
        )
        page.locator(button).scroll_into_view_if_needed()
        in_reach(page, button)
        size = page.locator(button).bounding_box()
        assert size is not None
        assert min(size["width"], size["height"]) >= 40
    page.locator("#chat .tools .edit").click()
    in_reach(page, "#chat .editor .save", "#chat .editor .cancel")
    fits(page)
    page.locator("#chat .editor .cancel").click()
    in_reach(page, *always, "#message .submit-button")
    fits(page)
    page.locator("#new-chat-phone").click()
    expect(lines(page)).to_have_count(0)
    page.locator(toggle).click()
    in_reach(page, opened, toggle, "#new-chat", "#language select", "#import", "#to-completion")
    page.locator(".shelf .more").click()
    in_reach(page, *(f".row-menu [data-act={act}]" for act in ("rename", "pin", "delete")))
    page.keyboard.press("Escape")
    page.locator(opened).click()
    expect(conversations).not_to_have_class(UNFOLDED)
    expect(lines(page)).to_have_count(1)


def test_a_whole_visit_asks_only_this_machine(page: Page, app: ScriptedApp) -> None:
    """The fixture looks at the requests."""
    app.script.write(Say(RICH))
    ask(page, RICH)
    for part in (".katex", ".katex-display", "table", "pre .token"):
        expect(page.locator(f"#chat .bot {part}").first).to_be_visible()
    unfold_settings(page)
    open_drawer(page, "engine")
    expect(page.locator(".panel")).to_be_visible()
    new_chat(page)
    page.locator("#to-completion").click()
    expect(page.locator("#prompt textarea")).not_to_have_value("")
    page.locator("#run").click()
    expect(page.locator("#figures .figures")).to_be_visible()
    page.reload()
    expect(page.locator("#run")).to_be_visible()


def test_earlier_answers_show_their_row_to_whoever_points_or_comes_by_key(
    visitor: Visitor, app: ScriptedApp
) -> None:
    page = visitor(app.url, **states.WIDE)
    known(page)
    ask(page, "One")
    ask(page, "Two", 2)
    earlier, last = page.locator("#chat .answer-tools").all()
    page.mouse.move(0, 0)
    expect(last).to_have_css("opacity", "1")
    expect(earlier).to_have_css("opacity", "0")
    earlier.locator("button").first.focus()
    expect(earlier).to_have_css("opacity", "1")
    last.locator("button").first.focus()
    expect(earlier).to_have_css("opacity", "0")
    page.locator("#chat .bot.message").first.hover()
    expect(earlier).to_have_css("opacity", "1")
    small = (
        "[...document.querySelectorAll('#chat .tools button')].map(b => b.getBoundingClientRect())"
    )
    assert page.evaluate(f"{small}.every(box => box.width >= 28 && box.height >= 28)")
