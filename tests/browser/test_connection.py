"""A lost connection: said in the page's words, with nothing lost of what was typed; and what is none."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Visitor
from tests.browser.page import (
    PATIENCE_S,
    Held,
    answers,
    ask,
    begin,
    box,
    choose,
    components_of,
    events_of,
    finished,
    known,
    lines,
    open_drawer,
    questions,
    row_of,
    send,
    send_button,
    stop,
    titles,
    unfold_settings,
    until,
    visit,
)
from tests.browser.test_attachments import attach, chips
from tests.scripted import Say
from tests.scripted.app import ScriptedApp
from web.languages import LANGUAGES, say

FRANCE, ITALY = "What is the capital of France?", "And of Italy?"
LOST, SERVER = re.compile(r"\bdisconnected\b"), "**/gradio_api/**"


def lose(page: Page) -> None:
    """Take the network away, and wait until the page says so."""
    page.evaluate("window.isOld = true")
    page.context.set_offline(True)
    lost(page)


def lost(page: Page) -> None:
    expect(page.locator("body")).to_have_class(LOST)


def made_anew(page: Page) -> None:
    """Wait until the page has made itself anew, and knows its conversation."""
    page.wait_for_function("window.isOld === undefined", timeout=PATIENCE_S * 1000)
    known(page)
    expect(page.locator("body.knows")).to_be_attached()
    expect(page.locator("#status .ready")).to_be_visible()
    expect(page.locator("body")).not_to_have_class(LOST)
    expect(page.locator("#connection, #header .lost")).to_have_count(0)


def come_back(page: Page) -> None:
    page.context.set_offline(False)
    made_anew(page)


def same_page(page: Page) -> None:
    """Behind something that came from the server: the page is still the one it was, and nothing was said."""
    assert page.evaluate("window.isOld") is True
    expect(page.locator("#connection")).to_have_count(0)
    expect(page.get_by_test_id("toast-body")).to_have_count(0)


def sending_step(page: Page, url: str) -> int:
    """The event that takes a message out of the box."""
    message = components_of(page, url)["message"]
    (step,) = (s["id"] for s in events_of(page, url) if [message, "submit"] in s["targets"])
    return int(step)


def fail_at(page: Page, is_meant: Callable[[Route], bool]) -> None:
    """From a request on that the test means, none arrives any more."""
    is_down: list[bool] = []

    def pass_on(route: Route) -> None:
        if is_down or is_meant(route):
            is_down.append(True)
            route.abort()
        else:
            route.continue_()

    page.evaluate("window.isOld = true")
    page.route(SERVER, pass_on)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lost_connection_is_said_in_the_language_of_the_page(
    app: ScriptedApp, visitor: Visitor, language: str
) -> None:
    page = visitor(app.url, language)
    known(page)
    expect(page.locator("#status .ready")).to_be_visible()
    lose(page)
    expect(page.get_by_role("alert")).to_have_text(say(language, "connection_lost"))
    expect(page.locator("#header .lost")).to_have_text(say(language, "disconnected"))
    expect(page.locator("#status")).to_be_hidden()
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    come_back(page)


def test_nothing_typed_is_lost_with_the_server(page: Page, app: ScriptedApp) -> None:
    ask(page, FRANCE)
    expect(titles(page)).to_have_count(1)
    box(page).press_sequentially("And the")
    page.evaluate("window.isOld = true")
    app.stop()
    lost(page)
    box(page).press_sequentially(" river?")
    box(page).press("Enter")
    send_button(page).click()
    expect(box(page)).to_have_value("And the river?")
    expect(questions(page)).to_have_count(1)
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    app.start()
    made_anew(page)
    expect(questions(page)).to_have_text([FRANCE])
    expect(box(page)).to_have_value("And the river?")
    assert app.script.asked == []
    box(page).press("Enter")
    finished(page, 2)
    assert app.script.asked == ["And the river?"]


@pytest.mark.parametrize("last", ["/run/", "/queue/join"])
def test_a_message_that_the_connection_breaks_under_is_in_the_box_again(
    page: Page, app: ScriptedApp, last: str
) -> None:
    """last: the first of its requests that does not arrive."""
    ask(page, FRANCE)
    expect(titles(page)).to_have_count(1)
    step = sending_step(page, app.url)

    def carries_it(route: Route) -> bool:
        is_sending = (route.request.post_data_json or {}).get("fn_index") == step
        return is_sending if last == "/run/" else last in route.request.url

    fail_at(page, carries_it)
    send(page, ITALY)
    lost(page)
    box(page).press("End")
    page.unroute(SERVER)
    made_anew(page)
    expect(questions(page)).to_have_text([FRANCE])
    expect(box(page)).to_have_value(ITALY)
    box(page).press("Enter")
    finished(page, 2)
    page.reload()
    known(page)
    expect(questions(page)).to_have_text([FRANCE, ITALY])
    expect(box(page)).to_have_value("")
    assert app.script.asked == [FRANCE, ITALY]


def test_the_first_message_is_not_lost_either_and_what_is_written_behind_it_follows(
    page: Page,
) -> None:
    fail_at(page, lambda route: "/queue/join" in route.request.url)
    send(page, FRANCE)
    lost(page)
    expect(box(page)).to_have_value("")
    box(page).press_sequentially(ITALY)
    page.unroute(SERVER)
    made_anew(page)
    expect(box(page)).to_have_value(f"{FRANCE}\n\n{ITALY}")


def test_an_answer_goes_on_behind_a_lost_connection(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    expect(titles(page)).to_have_count(1)
    box(page).press_sequentially("And then?")
    lose(page)
    app.script.tell(Say(" a time"))
    come_back(page)
    expect(answers(page).last).to_contain_text("Once upon a time")
    expect(box(page)).to_have_value("And then?")
    stop(page)
    finished(page)


def test_the_end_of_a_server_in_an_answer_is_said_in_our_words_only(
    page: Page, app: ScriptedApp
) -> None:
    begin(page, app)
    page.evaluate("window.isOld = true")
    app.stop()
    lost(page)
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    app.start()
    made_anew(page)
    expect(questions(page)).to_have_text(["Tell me a story."])
    expect(answers(page).last).to_contain_text("Once upon")
    expect(box(page)).to_have_value("")


def test_a_proxy_that_finds_no_server_is_a_lost_connection(page: Page) -> None:
    page.evaluate("window.isOld = true")
    page.route(SERVER, lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    send(page, FRANCE)
    lost(page)
    page.unroute(SERVER)
    made_anew(page)
    expect(box(page)).to_have_value(FRANCE)


def test_a_server_that_is_slow_is_not_lost(page: Page, app: ScriptedApp) -> None:
    expect(
        page.locator("#status .ready")
    ).to_be_visible()  # so it opens nothing while it still loads
    page.evaluate("window.isOld = true")
    late: list[Route] = []
    page.route("**/app_id", lambda route: late.append(route))  # noqa: PLW0108  (needs attributes)
    with page.expect_request("**/app_id"):
        page.evaluate("window.dispatchEvent(new Event('offline'))")
    held = Held(page, {sending_step(page, app.url)}, most=1)
    send(page, FRANCE)
    held.wait()
    open_drawer(page, "engine")
    expect(page.locator(".panel dl").first).to_be_visible()
    same_page(page)
    held.go_on()
    finished(page)
    same_page(page)
    for route in late:
        route.continue_()
    ask(page, ITALY, 2)
    same_page(page)


def fail_once(page: Page, steps: set[int], *, arrives: bool) -> list[Route]:
    """One request for one of these steps gets no answer, though it may arrive; the list tells that there was one."""
    failed: list[Route] = []

    def pass_on(route: Route) -> None:
        if failed or (route.request.post_data_json or {}).get("fn_index") not in steps:
            return route.continue_()
        failed.append(route)
        if arrives:
            route.fetch()
        return route.abort()

    page.evaluate("window.isOld = true")
    page.route("**/run/**", pass_on)
    return failed


@pytest.mark.parametrize("arrives", [False, True])
def test_what_the_page_asks_by_itself_is_asked_again(
    page: Page, app: ScriptedApp, arrives: bool
) -> None:
    timed = {
        s["id"] for s in events_of(page, app.url) if {name for _, name in s["targets"]} == {"tick"}
    }
    failed = fail_once(page, timed, arrives=arrives)
    with page.expect_response("**/app_id"):
        ask(page, FRANCE)
    assert failed
    same_page(page)


@pytest.mark.parametrize("arrives", [False, True])
def test_what_a_person_asks_is_not_asked_twice(page: Page, app: ScriptedApp, arrives: bool) -> None:
    """It may have arrived: then the message would be sent again without its file."""
    attach(page, note__md=b"Paris")
    expect(chips(page)).to_have_count(1)
    fail_once(page, {sending_step(page, app.url)}, arrives=arrives)
    send(page, FRANCE)
    made_anew(page)
    expect(box(page)).to_have_value(FRANCE)
    assert app.script.asked == []


def test_a_message_that_says_what_the_last_one_did_is_not_taken_for_that(page: Page) -> None:
    ask(page, FRANCE)
    fail_at(page, lambda route: "/queue/join" in route.request.url)
    send(page, FRANCE)
    lost(page)
    page.unroute(SERVER)
    made_anew(page)
    expect(box(page)).to_have_value(FRANCE)


def test_a_page_that_is_made_anew_again_and_again_asks_the_person(page: Page) -> None:
    page.evaluate(
        "sessionStorage.setItem('warmchat-renewed', JSON.stringify(Array(3).fill(Date.now())))"
    )
    lose(page)
    page.context.set_offline(False)
    expect(page.get_by_role("button", name="Reload")).to_be_visible()
    same = page.evaluate("window.isOld")
    assert same is True


def test_a_heartbeat_that_only_a_proxy_cuts_is_nothing(app: ScriptedApp, visitor: Visitor) -> None:
    page = visitor()
    page.route("**/heartbeat/**", lambda route: route.fulfill(body="data: ALIVE\n\n"))
    with page.expect_response("**/app_id"):
        visit(page, app.url)
    page.evaluate("window.isOld = true")
    ask(page, FRANCE)
    same_page(page)


def test_files_that_the_server_has_forgotten_are_named(page: Page) -> None:
    attach(page, note__md=b"The ship is violet.")
    expect(chips(page)).to_have_count(1)
    box(page).press_sequentially("Which colour?")
    lose(page)
    expect(chips(page)).to_have_count(1)
    come_back(page)
    expect(page.locator("#attach .refusals")).to_have_text(say("en", "file_lost", name="note.md"))
    expect(chips(page)).to_have_count(0)
    expect(box(page)).to_have_value("Which colour?")
    until(page, "sessionStorage.getItem('warmchat-lost-files')", None)


def test_what_is_edited_stays_until_its_writer_lets_it_go(page: Page) -> None:
    ask(page, FRANCE)
    page.get_by_label("Edit").first.click()
    edited = page.locator("#chat textarea")
    edited.fill(ITALY)
    lose(page)
    page.locator("#chat").get_by_label("Submit").click()
    expect(edited).to_have_value(ITALY)
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_contain_text(say("en", "connection_back"))
    expect(edited).to_have_value(ITALY)
    expect(page.locator("#header .lost")).to_have_count(0)
    page.get_by_role("alert").get_by_role("button", name="Reload").click()
    made_anew(page)
    expect(questions(page)).to_have_text([FRANCE])


def test_a_new_name_stays_in_its_box_while_the_connection_is_lost(page: Page) -> None:
    ask(page, FRANCE)
    choose(page, row_of(page, FRANCE), "rename")
    name = page.locator(".shelf input")
    name.fill("Capitals")
    lose(page)
    name.press("Enter")
    box(page).focus()
    expect(name).to_have_value("Capitals")
    page.context.set_offline(False)
    expect(page.get_by_role("button", name="Reload")).to_be_visible()
    expect(name).to_have_value("Capitals")


def test_a_setting_that_is_being_written_stays(page: Page) -> None:
    unfold_settings(page)
    prompt = page.locator("#system-prompt textarea")
    prompt.focus()
    lose(page)
    prompt.press_sequentially("Be brief.")
    page.context.set_offline(False)
    expect(page.get_by_role("button", name="Reload")).to_be_visible()
    expect(prompt).to_have_value("Be brief.")


def test_the_text_to_be_completed_is_not_lost(app: ScriptedApp, visitor: Visitor) -> None:
    page = visitor(f"{app.url}/completion", "zh-CN")
    text = page.locator("#prompt textarea")
    expect(text).to_have_value(say("zh-CN", "completion_example"))
    text.fill("1, 2, 3, ")
    lose(page)
    expect(page.get_by_role("alert")).to_have_text(say("zh-CN", "connection_lost"))
    expect(page.locator("#header .lost")).to_have_text(say("zh-CN", "disconnected"))
    text.press_sequentially("4, ")
    page.context.set_offline(False)
    page.wait_for_function("window.isOld === undefined")
    expect(text).to_have_value("1, 2, 3, 4, ")
    app.script.write(Say("5"))
    page.locator("#run").click()
    expect(page.locator("#completion textarea")).to_have_value("5")


def test_what_is_typed_before_the_page_knows_its_conversation_is_kept_too(page: Page) -> None:
    ask(page, FRANCE)
    expect(titles(page)).to_have_count(1)
    page.route("**/run/**", lambda route: None)
    page.reload()
    box(page).fill(ITALY)
    page.unroute("**/run/**")
    page.reload()
    known(page)
    expect(lines(page)).to_have_count(1)
    expect(box(page)).to_have_value(ITALY)
