"""The chat as a person sees it: answers that come, end, fail, are made again, edited and taken back."""

import re

import pytest
from playwright.sync_api import Page, expect

from engine.errors import QueueFull
from engine.events import FinishReason, Prefilling, Queued
from engine.metrics import KVSource
from tests.browser.conftest import Visitor
from tests.browser.page import (
    answer_text,
    answers,
    ask,
    begin,
    box,
    components_of,
    events_of,
    figures,
    finished,
    lines,
    new_chat,
    open_drawer,
    questions,
    send,
    send_button,
    set_number,
    stop,
    titles,
    tool,
    unfold_settings,
    words,
)
from tests.scripted import HOLD, Cost, End, Say, Tell
from tests.scripted.app import ScriptedApp

FRANCE, ITALY = "What is the capital of France?", "And of Italy?"
STORY = (Say("Once upon"), HOLD)


def test_an_answer_streams_and_carries_its_line(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    expect(send_button(page)).to_be_hidden()
    app.script.tell(Say(" a time"))
    expect(answers(page).last).to_contain_text("Once upon a time")
    expect(lines(page)).to_have_count(0)
    app.script.tell(Cost(1834, 27, KVSource.DISK, 4.06), Say(" there was."), End())
    assert re.search(r"first token [\d.]+ s.*reused 1,834 · new 27", finished(page))
    expect(lines(page)).to_have_attribute("title", re.compile(r"reused 1,834 \(disk\) · new 27"))
    assert answer_text(page) == "Once upon a time there was."


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (Queued(0), "Waiting; your turn is next"),
        (Queued(3), "Waiting; 3 ahead of you"),
        (Prefilling(300, 1200), "Reading … 25 %"),
    ],
)
def test_what_an_answer_waits_for_is_told_and_it_can_be_stopped_there(
    page: Page, app: ScriptedApp, event: Queued | Prefilling, sentence: str
) -> None:
    app.script.write(Tell(event), HOLD)
    send(page, FRANCE)
    expect(answers(page).last).to_contain_text(sentence)
    stop(page)
    assert "stopped" in finished(page)
    expect(page.locator("#chat")).not_to_contain_text(sentence)
    expect(questions(page)).to_have_text([FRANCE])
    tool(page, "Undo").last.click()
    expect(questions(page)).to_have_count(0)
    assert "You said: Hello" in ask(page, "Hello")


def test_an_answer_that_fails_says_so_and_the_chat_goes_on(page: Page, app: ScriptedApp) -> None:
    app.script.write(Say("Par"), End(FinishReason.ERROR, "The model failed at this step."))
    assert "The model failed at this step." in ask(page, FRANCE)
    assert answer_text(page) == "Par"
    ask(page, ITALY, 2)


def test_a_message_that_is_not_taken_gets_a_sentence_and_can_be_sent_again(
    page: Page, app: ScriptedApp
) -> None:
    app.script.refusal = QueueFull("Too many wait.")
    send(page, FRANCE)
    expect(page.locator("#chat .notice")).to_contain_text("busy")
    tool(page, "Retry").last.click()
    finished(page)
    expect(questions(page)).to_have_text([FRANCE])
    assert app.script.asked == [FRANCE, FRANCE]


def test_the_second_turn_reuses_the_first(page: Page) -> None:
    ask(page, FRANCE)
    reused, prefilled = figures(ask(page, ITALY, 2))
    assert reused > len(FRANCE)
    assert prefilled < len(FRANCE)


def test_a_message_sent_the_moment_it_may_be_follows_all_that_was_said(
    page: Page, app: ScriptedApp
) -> None:
    """Also when what the page shows goes up slowly once, right after an answer perhaps."""
    chat = components_of(page, app.url)["chat"]
    telling = [step["id"] for step in events_of(page, app.url) if chat in step["inputs"]]
    page.evaluate(
        """telling => {
            const send = window.fetch;
            window.told = 0;
            window.fetch = async (url, options) => {
                const body = typeof options?.body === 'string' ? JSON.parse(options.body) : {};
                if (telling.includes(body.fn_index) && ++window.told === 2)
                    await new Promise((resolve) => window.goOn = resolve);
                return send(url, options);
            };
        }""",
        telling,
    )
    ask(page, FRANCE)
    send(page, ITALY)
    page.wait_for_function("window.goOn !== undefined")
    page.evaluate("window.goOn()")
    finished(page, 2)
    expect(questions(page)).to_have_text([FRANCE, ITALY])


def test_after_a_stop_the_conversation_goes_on(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    stop(page)
    assert "stopped" in finished(page)
    assert answer_text(page) == "Once upon"
    ask(page, FRANCE, 2)


def test_retry_adds_a_version_of_the_answer(page: Page, app: ScriptedApp) -> None:
    app.script.write(Say("Paris."))
    ask(page, FRANCE)
    app.script.write(Say("It is Paris."))
    tool(page, "Retry").last.click()
    versions = page.locator("#chat .answer-tools .versions")
    expect(versions).to_have_text(re.compile("2/2"))
    finished(page)
    assert answer_text(page) == "It is Paris."
    expect(lines(page)).to_have_text(re.compile(r"reused \d\d · new 1\b"))
    expect(questions(page)).to_have_count(1)
    expect(page.locator("#chat .question-tools")).to_have_count(0)
    versions.get_by_title("Earlier version").click()
    expect(versions).to_have_text(re.compile("1/2"))
    expect(answers(page).last).to_contain_text("Paris.")
    expect(lines(page)).to_have_count(1)
    assert answer_text(page) == "Paris."


def test_a_cut_answer_goes_on_and_a_stopped_one_too(page: Page, app: ScriptedApp) -> None:
    unfold_settings(page)
    set_number(page, "Max tokens", "9")
    app.script.write(Say("Once upon a time"))
    assert "cut at max tokens" in ask(page, "Tell me a story.")
    assert answer_text(page) == "Once upon"
    set_number(page, "Max tokens", "512")
    app.script.write(Say(" a time there"), HOLD)
    go_on = page.locator("#chat .go-on")
    expect(go_on).to_have_text("Continue")
    go_on.click()
    expect(answers(page).last).to_contain_text("Once upon a time there")
    stop(page)
    shown = finished(page)
    assert re.search(r"reused \d\d · new [01]\b", shown)
    assert "stopped" in shown
    page.reload()
    expect(lines(page)).to_have_count(1)
    assert answer_text(page) == "Once upon a time there", "what was shown is what is kept"
    expect(go_on).to_be_visible()


def test_what_is_liked_is_kept_until_it_is_taken_back(page: Page) -> None:
    liked = page.get_by_title("Liked; click to take it back")
    ask(page, FRANCE)
    page.get_by_title("Like", exact=True).click()
    expect(liked).to_have_count(1)
    page.reload()
    expect(lines(page)).to_have_count(1)
    expect(liked).to_have_count(1)
    liked.click()
    expect(liked).to_have_count(0)
    page.reload()
    expect(lines(page)).to_have_count(1)
    expect(liked).to_have_count(0)


def test_copying_takes_the_answer_without_what_stands_around_it(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, FRANCE)
    tool(page, "Copy").last.click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.length > 0)")
    assert page.evaluate("navigator.clipboard.readText()") == f"You said: {FRANCE}"


def edit_first(page: Page, text: str) -> None:
    page.locator("#chat").get_by_label("Edit").first.click()
    page.locator("#chat textarea").first.fill(text)
    page.locator("#chat").get_by_label("Submit").first.click()


def test_editing_the_first_message_starts_from_it_and_can_be_stopped(
    page: Page, app: ScriptedApp
) -> None:
    ask(page, FRANCE)
    ask(page, ITALY, 2)
    app.script.write(*STORY)
    edit_first(page, "Tell me a story.")
    expect(questions(page)).to_have_text(["Tell me a story."])
    expect(answers(page).last).to_contain_text("Once upon")
    stop(page)
    assert "stopped" in finished(page)
    expect(questions(page)).to_have_count(1)


def test_versions_of_a_question_are_kept_and_switched(page: Page) -> None:
    ask(page, FRANCE)
    edit_first(page, "What is the capital of Italy?")
    versions = page.locator("#chat .question-tools .versions")
    expect(versions).to_contain_text("2/2")
    finished(page)
    expect(page.locator("#chat .answer-tools .versions")).to_have_count(0)
    page.get_by_title("Earlier version").click()
    expect(versions).to_contain_text("1/2")
    expect(words(page)).to_have_text([FRANCE])
    assert answer_text(page) == f"You said: {FRANCE}"
    ask(page, "Is it a large city?", 2)
    expect(lines(page).last).to_have_attribute("title", re.compile(r"\(memory\)"))


INDENTED = "  def f():\n      pass\n"


def test_an_edit_of_white_space_alone_is_one_and_a_retry_of_such_text_is_none(
    page: Page, app: ScriptedApp
) -> None:
    ask(page, INDENTED)
    edit_first(page, "def f():\n    pass\n")
    expect(page.locator("#chat .question-tools .versions")).to_contain_text("2/2")
    finished(page)
    assert app.script.asked == [INDENTED, "def f():\n    pass\n"]
    page.get_by_title("Earlier version").click()
    page.reload()
    tool(page, "Retry").last.click()
    expect(page.locator("#chat .answer-tools .versions")).to_have_text(re.compile("2/2"))
    finished(page)
    assert app.script.asked[2:] == [INDENTED]


def test_undo_takes_back_and_a_reload_keeps_the_rest(page: Page) -> None:
    first = ask(page, FRANCE)
    ask(page, ITALY, 2)
    tool(page, "Undo").last.click()
    expect(lines(page)).to_have_count(1)
    expect(box(page)).to_have_value(ITALY)
    page.reload()
    expect(lines(page)).to_have_count(1)
    assert answers(page).last.inner_text() == first
    assert "reused 0" not in ask(page, "And of Spain?", 2)


def test_a_new_chat_is_empty_even_after_a_reload_at_once(page: Page, app: ScriptedApp) -> None:
    ask(page, FRANCE)
    expect(page).to_have_url(re.compile("c="))
    page.route("**/run/**", lambda _: None)  # held: no later event mends the address
    new_chat(page)
    expect(page).to_have_url(f"{app.url}/")
    page.unroute("**/run/**")
    page.reload()
    expect(titles(page)).to_have_count(1)
    expect(page.get_by_text("What shall we talk about?")).to_be_visible()
    expect(lines(page)).to_have_count(0)


def test_what_is_being_typed_is_prefilled(page: Page, app: ScriptedApp) -> None:
    ask(page, FRANCE)
    app.engine.pause_idle_work()
    box(page).fill(
        "Please compare it with the capitals of Italy, Spain, Portugal, Greece and Malta"
    )
    expect(page.locator("#draft .draft_pending")).to_be_visible()
    app.engine.pause_idle_work(False)
    expect(page.locator("#draft .draft_ready")).to_be_visible()
    box(page).press_sequentially(" too.")
    box(page).press("Enter")
    _, prefilled = figures(finished(page, 2))
    assert prefilled < 50, "a token is a byte here, and the last ones are read with the message"


def test_the_live_panel_names_the_own_conversation(page: Page) -> None:
    ask(page, FRANCE)
    open_drawer(page, "engine")
    expect(page.locator(".panel .own-row").first).to_contain_text("capital of France")
    expect(page.locator(".panel svg rect.kept")).to_have_count(1)


def test_an_example_is_answered(page: Page) -> None:
    page.get_by_role("button", name=FRANCE).click()
    assert f"You said: {FRANCE}" in finished(page)


def test_an_empty_message_gets_a_sentence(page: Page) -> None:
    send(page, "   ")
    expect(page.locator("#chat .notice")).to_have_count(1)


def test_conversations_of_two_visitors_are_apart(
    page: Page, visitor: Visitor, app: ScriptedApp
) -> None:
    ask(page, FRANCE)
    stranger = visitor(app.url, "zh-CN")
    expect(stranger.get_by_text("想聊些什么？")).to_be_visible()
    expect(questions(stranger)).to_have_count(0)


def test_a_restart_in_mid_answer_keeps_the_conversation(page: Page, app: ScriptedApp) -> None:
    line = ask(page, FRANCE)
    begin(page, app)
    app.stop()
    app.start()
    page = in_a_new_tab(page)
    expect(questions(page)).to_have_count(2)
    expect(lines(page)).to_have_count(2)
    assert answers(page).first.inner_text() == line
    assert "stopped" in lines(page).last.inner_text()
    app.script.write(Say(" a time."))
    page.locator("#chat .go-on").click()
    expect(answers(page).last).to_contain_text("Once upon a time.")
    finished(page, 2)


def in_a_new_tab(page: Page) -> Page:
    """What the page shows: itself it reloads at a moment of its own."""
    address, again = page.url, page.context.new_page()
    page.close()
    again.goto(address)
    return again
