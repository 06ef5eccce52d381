"""What is written and not sent: kept for each conversation, over switching, a reload and a restart of the server."""

from playwright.sync_api import Page, expect

from tests.browser.page import ask, begin, box, finished, known, new_chat, stop, titles
from tests.scripted.app import ScriptedApp

FRANCE, ITALY = "What is the capital of France?", "And of Italy?"


def open_conversation(page: Page, question: str) -> None:
    titles(page).get_by_text(question).click()
    expect(page.locator(".shelf li[aria-current]")).to_contain_text(question)


def test_each_conversation_keeps_what_was_being_written(page: Page) -> None:
    ask(page, FRANCE)
    box(page).press_sequentially("About France")
    new_chat(page)
    expect(box(page)).to_have_value("")
    ask(page, ITALY)
    box(page).press_sequentially("About Italy")
    expect(titles(page)).to_have_text([ITALY, FRANCE])  # the list has moved
    open_conversation(page, FRANCE)
    expect(box(page)).to_have_value("About France")
    open_conversation(page, ITALY)
    expect(box(page)).to_have_value("About Italy")
    new_chat(page)
    expect(box(page)).to_have_value("")


def test_what_was_being_written_is_there_after_a_reload(page: Page) -> None:
    ask(page, FRANCE)
    box(page).press_sequentially("And the river?")
    page.reload()
    known(page)
    expect(box(page)).to_have_value("And the river?")
    ask(page, "Something else.", 2)
    page.reload()
    known(page)
    expect(page.locator("#chat .user.message")).to_have_count(2)
    expect(box(page)).to_have_value("")


def test_what_is_written_during_the_first_answer_goes_along_into_the_list(
    page: Page, app: ScriptedApp
) -> None:
    begin(page, app)
    box(page).press_sequentially("And then?")
    stop(page)
    finished(page)
    expect(titles(page)).to_have_count(1)
    expect(box(page)).to_have_value("And then?")
    page.reload()
    known(page)
    expect(box(page)).to_have_value("And then?")
