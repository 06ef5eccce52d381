"""The keyboard, and what is entered at moments that are too early."""

import pytest
from playwright.sync_api import Error, Page, expect

from tests.browser.page import (
    Held,
    answer_text,
    answers,
    ask,
    begin,
    box,
    finished,
    loading_steps,
    questions,
    send,
    send_button,
    set_number,
    stop,
    tool,
    unfold_settings,
)
from tests.scripted import HOLD, End, Say
from tests.scripted.app import ScriptedApp

FRANCE, ITALY = "What is the capital of France?", "And of Italy?"


def test_what_is_entered_while_an_answer_comes_stays_until_it_is_over(
    page: Page, app: ScriptedApp
) -> None:
    begin(page, app)
    page.keyboard.type(ITALY)
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    app.script.tell(Say(" a time"))
    expect(answers(page).last).to_contain_text("Once upon a time")
    expect(box(page)).to_have_value(ITALY)
    stop(page)
    finished(page)
    expect(box(page)).to_have_value(ITALY)
    box(page).press("Enter")
    finished(page, 2)
    expect(questions(page).last).to_have_text(ITALY)
    expect(box(page)).to_have_value("")
    assert app.script.asked[1:] == [ITALY], "Enter during the answer sent nothing"


def test_enter_twice_says_it_once(page: Page, app: ScriptedApp) -> None:
    app.script.write(HOLD)
    box(page).fill(FRANCE)
    box(page).press("Enter")
    page.keyboard.press("Enter")
    stop(page)
    finished(page)
    ask(page, ITALY, 2)
    assert app.script.asked == [FRANCE, ITALY]
    expect(questions(page)).to_have_text([FRANCE, ITALY])
    expect(page.locator("#chat .notice")).to_have_count(0)


def test_what_is_entered_before_the_page_knows_its_conversation_is_sent_then(
    page: Page, app: ScriptedApp
) -> None:
    """The server is slow to say which conversation it is."""
    _, load = loading_steps(page, app.url)
    page.evaluate("localStorage.clear()")
    held = Held(page, {load})
    page.goto(app.url)
    box(page).fill(FRANCE)
    box(page).press("Enter")
    expect(send_button(page)).to_be_hidden()
    held.wait()
    for button in ("New chat", "Open a saved chat", "Settings"):
        with pytest.raises(Error, match="Timeout"):
            page.get_by_role("button", name=button).first.click(timeout=500)
    expect(page.locator(".user.message, #chat .notice")).to_have_count(0)
    expect(box(page)).to_have_value(FRANCE)
    assert app.script.asked == []
    held.go_on()
    assert f"You said: {FRANCE}" in finished(page)
    expect(questions(page)).to_have_text([FRANCE])
    expect(box(page)).to_have_value("")
    ask(page, ITALY, 2)
    assert app.script.asked == [FRANCE, ITALY]
    expect(page.locator("#draft")).to_have_text("")


def test_what_is_entered_before_the_settings_are_there_is_answered_with_them(
    page: Page, app: ScriptedApp
) -> None:
    """The server is slow to fill them in."""
    unfold_settings(page)
    set_number(page, "Max tokens", "5")
    settings, _ = loading_steps(page, app.url)
    held = Held(page, {settings})
    page.reload()
    box(page).fill(FRANCE)
    box(page).press("Enter")
    held.wait()
    expect(send_button(page)).to_be_hidden()
    expect(questions(page)).to_have_count(0)
    held.go_on()
    assert "cut at max tokens" in finished(page)
    assert answer_text(page) == "You s"


def test_shift_and_enter_make_a_line(page: Page, app: ScriptedApp) -> None:
    box(page).focus()
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(box(page)).to_have_value("One\ntwo")
    page.keyboard.press("Enter")
    finished(page)
    assert app.script.asked == ["One\ntwo"]


def test_escape_stops_and_a_slash_goes_to_the_box(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    page.keyboard.press("Escape")
    assert "stopped" in finished(page)
    box(page).evaluate("box => box.blur()")
    page.keyboard.press("/")
    expect(box(page)).to_be_focused()
    expect(box(page)).to_have_value("")
    page.keyboard.type("either/or")
    expect(box(page)).to_have_value("either/or")
    page.get_by_placeholder("Search").press("/")
    expect(page.get_by_placeholder("Search")).to_have_value("/")


def test_stop_before_the_first_word_and_another_try(page: Page, app: ScriptedApp) -> None:
    app.script.write(HOLD)
    send(page, FRANCE)
    stop(page)
    assert "stopped" in finished(page)
    app.script.write(Say("Paris."), End())
    tool(page, "Retry").last.click()
    expect(answers(page).last).to_contain_text("Paris.")
    finished(page)
    expect(questions(page)).to_have_text([FRANCE])
