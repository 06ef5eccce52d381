"""An answer goes on while its reader is elsewhere: in another conversation, another page, another tab."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.page import (
    addressed,
    answer_text,
    answers,
    ask,
    begin,
    finished,
    lines,
    new_chat,
    questions,
    send_button,
    stop,
    titles,
    visit,
)
from tests.scripted import End, Say
from tests.scripted.app import ScriptedApp, serving

FRANCE, STORY = "What is the capital of France?", "Tell me a story."


def open_again(page: Page, title: str) -> None:
    titles(page).filter(has_text=title).evaluate("title => title.click()")  # wherever it moves
    expect(questions(page)).to_have_text([title])


def comes_to_its_end(page: Page, app: ScriptedApp) -> None:
    """What has come is there, what comes is shown, and Stop is for it."""
    expect(answers(page).last).to_contain_text("Once upon")
    expect(page.get_by_test_id("stop-button").first).to_be_visible()
    app.script.tell(Say(" a time"))
    expect(answers(page).last).to_contain_text("Once upon a time")
    stop(page)
    assert "stopped" in finished(page)
    assert answer_text(page).startswith("Once upon a time")


def test_who_comes_back_to_a_conversation_finds_its_answer_being_written(
    page: Page, app: ScriptedApp
) -> None:
    ask(page, FRANCE)
    new_chat(page)
    begin(page, app)
    open_again(page, FRANCE)
    expect(send_button(page)).to_be_visible()
    assert "reused 0" not in ask(page, FRANCE, 2), "another answer meanwhile"
    expect(titles(page)).to_have_text([FRANCE, STORY])  # it has moved up
    open_again(page, STORY)
    expect(send_button(page)).to_be_hidden()
    comes_to_its_end(page, app)
    ask(page, FRANCE, 2)


def test_an_answer_that_was_left_for_a_new_chat_does_not_show_itself_there(
    page: Page, app: ScriptedApp
) -> None:
    begin(page, app)
    new_chat(page)
    expect(send_button(page)).to_be_visible()
    assert f"You said: {FRANCE}" in ask(page, FRANCE)
    app.script.tell(Say(" a time."), End())
    expect(titles(page)).to_have_count(2)
    open_again(page, STORY)
    expect(lines(page)).to_have_count(1)
    assert answer_text(page) == "Once upon a time."
    expect(page.locator("#chat")).not_to_contain_text("stopped")


def test_a_page_loaded_anew_goes_on_with_the_answer(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    page.reload()
    comes_to_its_end(page, app)


def test_an_answer_outlives_its_tab_and_goes_on_in_another(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    address, again = addressed(page), page.context.new_page()
    page.close()
    again.goto(address)
    comes_to_its_end(again, app)


def test_two_pages_follow_one_answer(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    other = page.context.new_page()
    other.goto(addressed(page))
    comes_to_its_end(other, app)
    assert "stopped" in finished(page)
    assert answer_text(page) == answer_text(other)


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[ScriptedApp]:
    with serving(tmp_path, "--keep-answering", "0") as app:
        yield app


def test_the_last_page_that_is_closed_ends_the_answer(
    visitor: Visitor, impatient: ScriptedApp
) -> None:
    page = visitor()
    visit(page, impatient.url)
    begin(page, impatient)
    context, address = page.context, addressed(page)
    page.close()
    again = context.new_page()
    again.goto(address)
    expect(lines(again)).to_have_text(re.compile("stopped"))
    assert answer_text(again) == "Once upon"
