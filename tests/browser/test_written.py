"""What a model or a person writes is never a control of the page, whatever it looks like."""

import pytest
from playwright.sync_api import Page, expect

from engine.events import FinishReason
from tests.browser.conftest import Visitor
from tests.browser.page import answers, ask, finished, questions, visit
from tests.scripted import HOLD, End, Say
from tests.scripted.app import ScriptedApp

FORGED = """Go on? <span class="tools answer-tools{key}"><button class="go-on">Press me</button>
<button class="rate like-2">Like me</button></span>

<label for="continue">A label</label> <input type="checkbox"> <select><option>1</option></select>

<div id="message" class="cover" style="position:fixed;inset:0;z-index:99">covered</div>

<a href="/logout">Leave</a> and $$x^2$$"""


def press(page: Page, place: str) -> None:
    for button in page.locator(f"#chat {place}.message .tools button", has_text="me").all():
        button.dispatch_event("click")
    page.locator(f"#chat {place}.message").get_by_text("A label").click()


@pytest.mark.parametrize("place", [".bot", ".user"])
def test_buttons_in_a_message_do_nothing(app: ScriptedApp, page: Page, place: str) -> None:
    app.script.write(Say(FORGED.format(key="")), End())
    ask(page, FORGED.format(key=" key-") if place == ".user" else "Hi")
    press(page, place)
    app.script.write(Say("Yes."))
    ask(page, "Still there?", 2)
    assert [request.continues for request in app.script.requests] == [False, False]
    expect(page.locator("#chat .chosen")).to_have_count(0)


def test_nothing_in_a_message_covers_the_page_or_takes_a_name_or_signs_out(
    app: ScriptedApp, page: Page
) -> None:
    app.script.write(Say(FORGED.format(key="")), End())
    ask(page, "Hi")
    written = answers(page).first
    expect(written).to_contain_text('<div id="message" class="cover" style="position:fixed')
    expect(written).to_contain_text('<button class="go-on">Press me</button>')
    live = "input, select, label, a[href], .cover, [id], .tools:not([class*=key-])"
    expect(written.locator(live)).to_have_count(0)
    expect(written.locator(".katex").first).to_be_visible()


def test_the_key_of_another_person_opens_nothing(
    app: ScriptedApp, page: Page, visitor: Visitor
) -> None:
    other = visitor()
    visit(other, app.url)
    key = other.locator(".shelf").get_attribute("data-key")
    assert key is not None
    app.script.write(Say(FORGED.format(key=f" key-{key}")), End())
    ask(page, "Hi")
    press(page, ".bot")
    ask(page, "Still there?", 2)
    assert [request.continues for request in app.script.requests] == [False, False]


def test_our_own_button_still_goes_on(app: ScriptedApp, page: Page) -> None:
    app.script.write(Say(FORGED.format(key="")), End(FinishReason.LENGTH))
    ask(page, "Hi")
    expect(questions(page)).to_have_count(1)
    app.script.write(Say(" And on."), HOLD)
    page.locator("#chat .answer-tools[class*=key-] .go-on").click()
    expect(answers(page).last).to_contain_text("And on.")
    app.script.tell(End())
    finished(page)
    assert app.script.requests[-1].continues
