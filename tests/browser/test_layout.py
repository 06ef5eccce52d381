"""Where things stand: the box in the middle of an empty page, Stop in the place of Send, the drawer and its tabs."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.page import ask, begin, finished, new_chat, send_button, stop, until
from tests.scripted.app import ScriptedApp

OPEN = re.compile(r"\bopen\b")
MIDDLE = "(box => box.y + box.height / 2)(document.querySelector('#composer').getBoundingClientRect()) / innerHeight"


def opener(page: Page, tab: str) -> Locator:
    return page.locator(f"#drawer-buttons [data-tab={tab}]")


def test_the_box_stands_in_the_middle_until_something_is_said(page: Page, app: ScriptedApp) -> None:
    until(page, f"{MIDDLE} < 0.7")
    begin(page, app)
    until(page, f"{MIDDLE} > 0.8")
    stop(page)
    finished(page)
    new_chat(page)
    until(page, f"{MIDDLE} < 0.7")


def test_stop_stands_in_the_place_of_send(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    stopping = page.locator("#message .stop-button").bounding_box()
    stop(page)
    finished(page)
    assert send_button(page).bounding_box() == stopping


def test_each_button_opens_the_drawer_at_its_tab_and_closes_it(page: Page) -> None:
    drawer = page.locator("#live")
    opener(page, "settings").click()
    expect(drawer).to_have_class(OPEN)
    expect(page.locator("#system-prompt textarea")).to_be_visible()
    opener(page, "engine").click()
    expect(page.locator(".panel")).to_be_visible()
    expect(opener(page, "engine")).to_have_attribute("aria-expanded", "true")
    expect(opener(page, "settings")).to_have_attribute("aria-expanded", "false")
    opener(page, "engine").click()
    expect(drawer).not_to_have_class(OPEN)
    opener(page, "engine").click()
    expect(drawer).to_have_class(OPEN)
    page.keyboard.press("Escape")
    expect(drawer).not_to_have_class(OPEN)
    expect(opener(page, "engine")).to_have_attribute("aria-expanded", "false")


def test_the_gauge_fills_with_the_conversation_and_empties_with_a_new_one(page: Page) -> None:
    gauge = page.locator("#gauge .gauge")
    ask(page, "What is the capital of France?")
    expect(gauge).to_have_attribute("aria-label", re.compile(r"^Context \d+ %$"))
    new_chat(page)
    expect(gauge).to_have_count(0)
    page.locator(".shelf .open").first.click()
    expect(gauge).to_have_count(1)
