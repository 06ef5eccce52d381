"""What the keyboard does beside the box, and the dialog that lists it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.page import (
    Held,
    answers,
    ask,
    begin,
    box,
    finished,
    known,
    lines,
    loading_steps,
    open_drawer,
    titles,
    visit,
)
from tests.scripted import Say
from tests.scripted.app import ScriptedApp
from web.languages import LANGUAGES, TEXTS

OPEN = re.compile(r"\bopen\b")
A_MAC = "Object.defineProperty(navigator, 'platform', {get: () => 'MacIntel'})"
DRAWER = "#drawer-buttons [data-tab=settings]"


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def search(page: Page) -> Locator:
    return page.locator("#search :is(input, textarea)")


def press(page: Page, **event: Any) -> bool:
    """A key as browsers tell of it, in the focus; returns whether the browser goes on with it itself."""
    went_on: bool = page.evaluate(
        """event => document.activeElement.dispatchEvent(
            new KeyboardEvent('keydown', { bubbles: true, cancelable: true, ...event }))""",
        event,
    )
    return went_on


def test_a_new_chat_by_key_from_the_box(page: Page) -> None:
    ask(page, "What is the capital of France?")
    expect(titles(page)).to_have_count(1)
    box(page).fill("And the river?")
    box(page).press("Control+Shift+O")
    expect(lines(page)).to_have_count(0)
    expect(box(page)).to_have_value("")
    expect(box(page)).to_be_focused()
    page.locator(".shelf .open").first.click()
    expect(box(page)).to_have_value("And the river?")


def test_the_search_by_key_also_while_the_list_is_hidden(page: Page) -> None:
    conversations = page.locator("#conversations")
    box(page).press("Control+k")
    expect(search(page)).to_be_focused()
    page.keyboard.type("ship")
    box(page).press("Control+b")
    expect(conversations).not_to_have_class(OPEN)
    page.keyboard.press("Control+k")
    expect(conversations).to_have_class(OPEN)
    expect(search(page)).to_be_focused()
    page.keyboard.type("sea")
    expect(search(page)).to_have_value("sea")


def test_the_list_is_hidden_and_shown_by_key_and_the_keyboard_stays_in_sight(page: Page) -> None:
    conversations = page.locator("#conversations")
    search(page).press("Control+b")
    expect(conversations).not_to_have_class(OPEN)
    expect(box(page)).to_be_focused()
    page.keyboard.press("Control+b")
    expect(conversations).to_have_class(OPEN)
    expect(box(page)).to_be_focused()


def test_settings_open_and_close_by_key(page: Page) -> None:
    drawer = page.locator("#live")
    expect(page.locator(DRAWER)).to_be_visible()
    box(page).press("Control+,")
    expect(drawer).to_have_class(OPEN)
    expect(page.locator(DRAWER)).to_be_focused()
    page.keyboard.press("Control+,")
    expect(drawer).not_to_have_class(OPEN)
    expect(box(page)).to_be_focused()
    open_drawer(page, "engine")
    page.keyboard.press("Control+,")
    expect(page.locator("#system-prompt textarea")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).not_to_have_class(OPEN)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_question_mark_lists_all_keys_in_the_language_of_the_page(
    app: ScriptedApp, visitor: Visitor, language: str
) -> None:
    page, texts = visitor(app.url, language), TEXTS[language]
    known(page)
    box(page).press("?")
    expect(box(page)).to_have_value("?")
    expect(dialog(page)).to_have_count(0)
    box(page).blur()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name=texts["shortcuts"])).to_be_visible()
    rows = {row.locator("dt").inner_text(): row.locator("kbd").all_inner_texts()
            for row in dialog(page).locator("dl > div").all()}  # fmt: skip
    assert rows == {
        texts["key_send"]: ["Enter"],
        texts["key_line"]: ["Shift", "Enter"],
        texts["key_stop"]: ["Esc"],
        texts["key_box"]: ["/"],
        texts["new_chat"]: ["Ctrl", "Shift", "O"],
        texts["key_search"]: ["Ctrl", "K"],
        texts["key_list"]: ["Ctrl", "B"],
        texts["key_settings"]: ["Ctrl", ","],
        texts["key_shortcuts"]: ["?", "Ctrl", "/"],
    }
    expect(dialog(page).get_by_role("button", name=texts["close"])).to_be_focused()


def test_the_dialog_closes_by_key_button_and_click_beside_it_and_gives_the_focus_back(
    page: Page,
) -> None:
    entry = page.get_by_role("button", name="Keyboard shortcuts")
    ways: list[Callable[[], None]] = [
        lambda: page.keyboard.press("Escape"),
        lambda: page.keyboard.press("?"),
        lambda: dialog(page).get_by_role("button", name="Close").click(),
        lambda: page.mouse.click(20, 20),
    ]
    for close in ways:
        entry.click()
        expect(dialog(page)).to_be_visible()
        close()
        expect(dialog(page)).to_have_count(0)
        expect(entry).to_be_focused()
    box(page).press("Control+/")
    expect(dialog(page)).to_be_visible()
    page.keyboard.press("Control+/")
    page.keyboard.press("Control+Shift+O")
    expect(dialog(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(box(page)).to_be_focused()


def test_what_is_pressed_in_the_dialog_is_for_it_alone(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    box(page).press("Control+/")
    dialog(page).locator("h2").click()  # takes the focus off the button
    page.keyboard.press("Control+b")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    app.script.tell(Say(" a time"))
    expect(answers(page).last).to_contain_text("Once upon a time")
    expect(page.locator("#conversations")).to_have_class(OPEN)
    page.keyboard.press("Escape")
    assert "stopped" in finished(page)


def test_keys_of_an_input_method_are_left_to_it(page: Page) -> None:
    box(page).focus()
    keys = {"key": "k", "code": "KeyK", "ctrlKey": True}
    assert press(page, **keys, isComposing=True)
    assert press(page, **keys, keyCode=229)
    assert press(page, **keys, altKey=True), "AltGr is told as Ctrl and Alt"
    expect(box(page)).to_be_focused()
    assert not press(page, **keys)
    expect(search(page)).to_be_focused()


def test_keys_of_other_alphabets_count_by_their_place(page: Page) -> None:
    box(page).blur()
    press(page, key="？", code="Slash", shiftKey=True)
    expect(dialog(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    press(page, key="л", code="KeyK", ctrlKey=True)
    expect(search(page)).to_be_focused()


def test_on_a_mac_the_command_key_is_meant_and_shown(app: ScriptedApp, visitor: Visitor) -> None:
    page = visitor()
    page.add_init_script(A_MAC)
    visit(page, app.url)
    assert press(page, key="k", code="KeyK", ctrlKey=True), "deletes to the end of the line there"
    assert not press(page, key="k", code="KeyK", metaKey=True)
    expect(search(page)).to_be_focused()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    keys = dialog(page).locator("dl > div", has_text="New chat").locator("kbd")
    expect(keys).to_have_text(["⌘", "⇧", "O"])


def test_nothing_begins_by_key_before_the_page_knows_its_conversation(
    app: ScriptedApp, page: Page
) -> None:
    _, load = loading_steps(page, app.url)
    held = Held(page, {load})
    page.goto(app.url)
    held.wait()
    expect(page.locator("#new-chat kbd")).to_be_attached()  # so the keys are listened for
    assert not press(page, key="k", code="KeyK", ctrlKey=True), "nor does the browser search"
    expect(search(page)).not_to_be_focused()
    held.go_on()
    expect(page.locator("body.knows")).to_be_attached()
    box(page).press("Control+k")
    expect(search(page)).to_be_focused()


def test_keys_stand_at_what_they_are_for_where_there_is_a_mouse(page: Page) -> None:
    new_chat, hint = page.locator("#new-chat"), page.locator("#new-chat kbd")
    expect(page.get_by_role("button", name="New chat", exact=True).first).to_be_visible()
    expect(new_chat).to_have_attribute("aria-keyshortcuts", "Control+Shift+O")
    expect(search(page)).to_have_attribute("aria-keyshortcuts", "Control+K")
    expect(hint).to_be_hidden()
    new_chat.hover()
    expect(hint).to_be_visible()
    expect(hint).to_have_text("Ctrl Shift O")
    search(page).focus()
    expect(page.locator("#search kbd")).to_be_visible()
    search(page).fill("ship")
    expect(page.locator("#search kbd")).to_be_hidden()


def test_on_a_phone_there_are_no_keys_to_be_shown(app: ScriptedApp, visitor: Visitor) -> None:
    page = visitor(app.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    known(page)
    page.locator(".sidebar:not(.right) .toggle-button").click()
    search(page).focus()
    expect(
        page.locator("#new-chat kbd, #search kbd, #shortcuts").filter(visible=True)
    ).to_have_count(0)
