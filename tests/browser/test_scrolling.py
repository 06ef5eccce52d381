"""Where the chat stands while text comes: at its end, or where a person has scrolled."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import FRAME, answers, ask, begin, finished, new_chat, send, titles
from tests.scripted import HOLD, End, Say
from tests.scripted.app import ScriptedApp

LONG = "\n\n".join(f"p{i}" for i in range(50))  # a token is a byte here, and an answer has 512
MORE = "\n\n".join(f"m{i}" for i in range(10))
FROM_END = "(e => e.scrollHeight - e.clientHeight - e.scrollTop)"
TOP = "document.querySelector('#chat .bubble-wrap').scrollTop"


def from_end(page: Page) -> float:
    """How many pixels are below what is seen, once nothing is on its way."""
    page.evaluate(f"{FRAME}.then(() => {FRAME})")
    return float(page.locator("#chat .bubble-wrap").evaluate(FROM_END))


def at_end(page: Page) -> None:
    page.wait_for_function(f"{FROM_END}(document.querySelector('#chat .bubble-wrap')) < 5")


def comes(page: Page, app: ScriptedApp, text: str = MORE, last: str = "m9") -> None:
    """More of the answer, up to where it is shown."""
    app.script.tell(Say("\n\n" + text))
    expect(answers(page).last).to_contain_text(last)


def gradio_has_scrolled(page: Page) -> None:
    """Its timer, set at each update, has run out: this one is set later and is as long."""
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 300))")


def by_wheel(page: Page) -> None:
    page.locator("#chat .bubble-wrap").hover()
    page.mouse.wheel(0, -200)


def by_key(page: Page) -> None:
    page.locator("#chat .bubble-wrap").evaluate("e => { e.tabIndex = 0; e.focus(); }")
    page.keyboard.press("PageUp")


def by_bar(page: Page) -> None:
    page.locator("#chat .bubble-wrap").evaluate("e => { e.scrollTop -= 200; }")


@pytest.mark.parametrize("scroll_up", [by_wheel, by_key, by_bar])
def test_who_scrolls_up_while_text_comes_stays_there(
    page: Page, app: ScriptedApp, scroll_up: Callable[[Page], None]
) -> None:
    begin(page, app)
    comes(page, app, LONG, "p49")
    at_end(page)
    button = page.get_by_role("button", name="To the end")
    expect(button).to_be_hidden()
    before = page.evaluate(TOP)
    comes(page, app, "One more.", "One more.")
    scroll_up(page)
    page.wait_for_function(f"{TOP} < {before} - 100")
    expect(button).to_be_visible()
    gradio_has_scrolled(page)
    assert from_end(page) > 100
    comes(page, app)
    gradio_has_scrolled(page)
    assert from_end(page) > 300
    button.click()
    at_end(page)
    expect(button).to_be_hidden()
    comes(page, app, "The end.", "The end.")
    at_end(page)


def test_at_the_end_it_follows_again(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    comes(page, app, LONG, "p49")
    by_wheel(page)
    expect(page.locator("#to-end")).to_be_visible()
    page.mouse.wheel(0, 5000)
    at_end(page)
    comes(page, app)
    at_end(page)


def test_a_conversation_opens_at_its_end_and_sending_goes_there(
    page: Page, app: ScriptedApp
) -> None:
    app.script.write(Say(LONG))
    ask(page, "One")
    new_chat(page)
    app.script.write(Say(LONG))
    ask(page, "Two")
    at_end(page)
    by_bar(page)
    expect(page.locator("#to-end")).to_be_visible()
    titles(page).nth(1).click()
    expect(page.locator("#chat .typed")).to_have_text("One")
    at_end(page)
    by_bar(page)
    expect(page.locator("#to-end")).to_be_visible()
    app.script.write(Say("Yes."), HOLD)
    send(page, "And?")
    expect(answers(page).last).to_contain_text("Yes.")
    at_end(page)
    app.script.tell(End())
    finished(page, 2)
    page.reload()
    expect(page.locator("#chat .typed")).to_have_count(2)
    at_end(page)


DRAWN_ANEW = """async (scroller) => {
  const old = scroller.querySelector('.message-wrap'), rows = [...old.children], anew = old.cloneNode(false);
  old.remove();
  scroller.scrollTop; // which is laid out
  scroller.append(anew);
  for (const row of rows) {
    anew.append(row);
    await null; // for whoever watches
  }
  scroller.dispatchEvent(new Event('scroll')); // that it was emptied, told late
}"""


def test_a_conversation_that_is_drawn_within_one_frame_is_not_scrolled_by_a_person(
    page: Page, app: ScriptedApp
) -> None:
    app.script.write(Say(LONG))
    ask(page, "One")
    at_end(page)
    page.locator("#chat .bubble-wrap").evaluate(DRAWN_ANEW)
    assert from_end(page) < 5
