"""Clicks that come while another is under way: all are obeyed, in their order."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.page import (
    FRAME,
    ask,
    choose,
    components_of,
    events_of,
    known,
    lines,
    new_chat,
    questions,
    row_of,
    titles,
    tool,
)
from tests.scripted.app import ScriptedApp

ONE, TWO = "Number one.", "Number two."


class Slow:
    """The click of the list that comes first is kept back on its way, until a test lets it go."""

    def __init__(self, page: Page, app: ScriptedApp) -> None:
        shelf = components_of(page, app.url)["shelf"]
        self._page, self._held = page, list[Route]()
        self._clicks = {
            step["id"] for step in events_of(page, app.url) if [shelf, "click"] in step["targets"]
        }
        page.route("**/queue/join*", self._keep_back)

    def _keep_back(self, route: Route) -> None:
        is_click = (route.request.post_data_json or {}).get("fn_index") in self._clicks
        if is_click and not self._held:
            self._held.append(route)
        else:
            route.continue_()

    def go_on(self) -> None:
        """Let it go, behind everything that the page has sent by now."""
        while not self._held:
            self._page.evaluate(FRAME)
        for _ in range(3):
            self._page.evaluate(FRAME)
        self._held[0].continue_()


@pytest.fixture
def two(page: Page) -> Page:
    """A page with two conversations, the second of which is open."""
    ask(page, ONE)
    new_chat(page)
    ask(page, TWO)
    expect(titles(page)).to_have_text([TWO, ONE])
    return page


def test_the_last_conversation_that_was_clicked_is_open(two: Page, app: ScriptedApp) -> None:
    slow = Slow(two, app)
    titles(two).filter(has_text=ONE).click()
    titles(two).filter(has_text=TWO).click()
    choose(two, row_of(two, ONE), "pin")
    slow.go_on()
    expect(titles(two)).to_have_text([ONE, TWO])  # the last click is obeyed
    expect(questions(two)).to_have_text([TWO])
    expect(two.locator(".shelf [aria-current]")).to_have_text(re.compile(TWO))


def test_a_press_opens_what_it_began_on_though_the_list_moves(two: Page, app: ScriptedApp) -> None:
    other = two.context.new_page()
    other.goto(app.url)
    known(other)
    titles(other).filter(has_text=ONE).click()
    expect(questions(other)).to_have_text([ONE])
    titles(two).filter(has_text=ONE).hover()
    two.mouse.down()
    ask(other, "More.", 2)
    expect(titles(two)).to_have_text([ONE, TWO])  # it has moved away from under the mouse
    two.mouse.up()
    expect(questions(two)).to_have_text([ONE, "More."])


def test_a_new_chat_behind_a_click_stays_new(two: Page, app: ScriptedApp) -> None:
    slow = Slow(two, app)
    titles(two).filter(has_text=ONE).click()
    two.locator("#new-chat").click()
    slow.go_on()
    expect(questions(two)).to_have_count(0)
    expect(two.locator(".shelf [aria-current]")).to_have_count(0)


def test_a_like_that_is_thought_better_of_is_a_dislike(page: Page, app: ScriptedApp) -> None:
    ask(page, ONE)
    slow = Slow(page, app)
    page.locator("#chat [class*='rate like-']").click()
    page.locator("#chat [class*='rate dislike-']").click()
    slow.go_on()
    expect(page.locator("#chat [class*='undislike-']")).to_have_count(1)
    expect(page.locator("#chat [class*='unlike-']")).to_have_count(0)


def test_versions_are_gone_through_as_they_were_clicked(page: Page, app: ScriptedApp) -> None:
    ask(page, ONE)
    tool(page, "Retry").last.click()
    place = page.locator("#chat .versions")
    expect(place).to_contain_text("2/2")
    expect(lines(page)).to_have_count(1)
    slow = Slow(page, app)
    earlier = page.locator("#chat .versions button").first
    earlier.click()
    page.locator("#chat [class*='rate like-']").click()
    slow.go_on()
    expect(place).to_contain_text("1/2")
    expect(page.locator("#chat [class*='unlike-']")).to_have_count(0)
    page.locator("#chat .versions button").last.click()
    expect(place).to_contain_text("2/2")
    expect(page.locator("#chat [class*='unlike-']")).to_have_count(1)
