"""The real app with the real model in Chromium, as a person uses it."""

import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.browsing import (
    LONG,
    MOST_TOKENS,
    PATIENCE_S,
    App,
    answer_text,
    be_brief,
    begin,
    come_back,
    eventually,
    finished,
    grows,
    has_begun,
    last_answer,
    lines,
    send,
    set_numbers,
    start,
    stop,
)

pytestmark = pytest.mark.browser

TOPIC = re.compile("capital|France|Paris", re.IGNORECASE)  # in the first words and in a title


def test_an_answer_streams_and_carries_its_line(page: Page) -> None:
    begin(page)
    grows(page, last_answer(page).inner_text)
    stop(page)
    assert "stopped" in finished(page, 1)


def test_the_second_turn_reuses_the_first(page: Page) -> None:
    send(page, "What is the capital of France?")
    first = finished(page, 1)
    assert "Paris" in first
    send(page, "And of Italy?")
    reused = re.search(r"reused ([\d,]+) \(memory\) · prefilled (\d+) · TTFT", finished(page, 2))
    assert reused is not None
    assert int(reused[1].replace(",", "")) > 30
    assert int(reused[2]) < 30


def test_a_message_sent_the_moment_it_may_be_follows_all_that_was_said(page: Page) -> None:
    """Also when what the page shows goes up slowly once, right after an answer perhaps."""
    page.evaluate(
        """() => {
            const chat = gradio_config.components.find((part) => part.props.elem_id === 'chat').id;
            const telling = gradio_config.dependencies
                .filter((step) => step.inputs.includes(chat)).map((step) => step.id);
            const send = window.fetch;
            window.told = 0;
            window.fetch = async (url, options) => {
                const body = typeof options?.body === 'string' ? JSON.parse(options.body) : {};
                if (telling.includes(body.fn_index) && ++window.told === 2)
                    await new Promise((resolve) => setTimeout(resolve, 1500));
                return send(url, options);
            };
        }"""
    )
    for count in (1, 2):
        send(page, "What is the capital of France?")
        finished(page, count)
    expect(page.locator(".user.message")).to_have_count(2)
    assert page.evaluate("window.told") >= 2


def test_after_a_stop_the_conversation_goes_on(page: Page) -> None:
    begin(page)
    stop(page)
    assert "stopped" in finished(page, 1)
    be_brief(page)
    send(page, "What is the capital of France?")
    finished(page, 2)


def test_retry_adds_a_version_of_the_answer(page: Page) -> None:
    send(page, "What is the capital of France?")
    finished(page, 1)
    page.locator("#chat").get_by_label("Retry").last.click()
    expect(lines(page)).to_have_text(re.compile(r"reused \d\d \(memory\) · prefilled 1 "))
    finished(page, 1)
    expect(page.locator(".user.message")).to_have_count(1)
    versions = page.locator("#chat .answer-tools .versions")
    expect(versions).to_have_text(re.compile("2/2"))
    expect(page.locator("#chat .question-tools")).to_have_count(0)
    versions.get_by_title("Earlier version").click()
    expect(versions).to_have_text(re.compile("1/2"))
    expect(lines(page)).to_have_count(1)


def test_a_cut_answer_goes_on_and_a_stopped_one_too(page: Page) -> None:
    set_numbers(page, ("Max tokens", "12"))
    send(page, LONG)
    assert "cut at max tokens" in finished(page, 1)
    go_on = page.locator("#chat .go-on")
    expect(go_on).to_have_text("Continue")
    story = answer_text(page)
    set_numbers(page, ("Max tokens", MOST_TOKENS))
    go_on.click()
    grows(page, last_answer(page).inner_text, 40)
    assert answer_text(page).startswith(story), "the old text stays while the new comes"
    stop(page)
    shown = finished(page, 1)
    assert re.search(r"reused \d\d \(memory\) · prefilled [01] ", shown)
    assert "stopped" in shown
    stopped = answer_text(page)
    page.reload()
    expect(lines(page)).to_have_count(1)
    assert answer_text(page) == stopped, "what was shown is what is kept"
    expect(go_on).to_be_visible()


def test_what_is_liked_is_kept_until_it_is_taken_back(page: Page) -> None:
    liked = page.get_by_title("Liked; click to take it back")
    send(page, "What is the capital of France?")
    finished(page, 1)
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
    send(page, "What is the capital of France?")
    finished(page, 1)
    page.locator("#chat").get_by_label("Copy message").last.click()
    copied = "navigator.clipboard.readText()"
    page.wait_for_function(f"{copied}.then((text) => text.length > 0)")
    assert page.evaluate(copied) == answer_text(page)


def test_editing_the_first_message_starts_from_it_and_can_be_stopped(page: Page) -> None:
    send(page, "What is the capital of France?")
    finished(page, 1)
    send(page, "And of Italy?")
    finished(page, 2)
    page.locator("#chat").get_by_label("Edit").first.click()
    page.locator("#chat textarea").first.fill(LONG)
    page.locator("#chat").get_by_label("Submit").first.click()
    expect(page.locator(".user.message")).to_have_count(1)
    has_begun(page)
    stop(page)
    assert "stopped" in finished(page, 1)
    expect(page.locator(".user.message")).to_have_count(1)


def test_undo_takes_back_and_a_reload_keeps_the_rest(page: Page) -> None:
    send(page, "What is the capital of France?")
    first = finished(page, 1)
    send(page, "And of Italy?")
    finished(page, 2)
    page.locator("#chat").get_by_label("Undo").last.click()
    expect(lines(page)).to_have_count(1)
    page.reload()
    expect(lines(page)).to_have_count(1)
    assert page.locator(".bot.message").last.inner_text() == first
    send(page, "And of Spain?")
    assert "reused 0" not in finished(page, 2)


def test_a_new_chat_is_empty_even_after_a_reload_at_once(page: Page, app: App) -> None:
    send(page, "What is the capital of France?")
    finished(page, 1)
    expect(page).to_have_url(re.compile("c="))
    page.route("**/run/**", lambda _: None)  # held: no later event mends the address
    page.get_by_role("button", name="New chat").click()
    expect(lines(page)).to_have_count(0)
    expect(page).to_have_url(f"{app.url}/")
    page.unroute("**/run/**")
    page.reload()
    expect(page.locator(".shelf li")).to_have_count(1)
    expect(page.get_by_text("What shall we talk about?")).to_be_visible()
    expect(lines(page)).to_have_count(0)


def test_conversations_are_listed_opened_renamed_found_and_deleted(page: Page) -> None:
    items, titles = page.locator(".shelf li"), page.locator(".shelf .title")
    send(page, "What is the capital of France?")
    first = finished(page, 1)
    expect(titles).to_have_text([TOPIC])
    page.get_by_role("button", name="New chat").click()
    expect(lines(page)).to_have_count(0)
    begin(page)
    expect(items).to_have_count(2)  # it moves under the mouse
    page.locator(".shelf li", has_text=TOPIC).locator(".open").click()  # in mid-stream
    shown = page.locator(".bot.message:not(.pending)")
    expect(shown).to_contain_text(first.split("\n")[0])
    send(page, "And of Italy?")
    assert "reused 0" not in finished(page, 2)
    expect(titles.first).to_have_text(TOPIC)  # it has moved up
    items.first.hover()
    items.first.get_by_label("Rename").click()
    page.locator(".shelf input").fill("Capitals")
    page.locator(".shelf input").press("Enter")
    expect(titles.first).to_have_text("Capitals")
    page.get_by_placeholder("Search").fill("fisherman")
    expect(items).to_have_count(1)
    expect(titles).not_to_have_text("Capitals")
    page.get_by_placeholder("Search").fill("")
    expect(items).to_have_count(2)
    items.first.hover()
    items.first.get_by_label("Delete").click()
    expect(items).to_have_count(1)
    expect(page.locator(".user.message")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".user.message")).to_have_count(2)
    expect(titles.first).to_have_text("Capitals")


def test_versions_of_an_answer_are_kept_and_switched(page: Page) -> None:
    send(page, "What is the capital of France?")
    first = finished(page, 1)
    page.locator("#chat").get_by_label("Edit").first.click()
    page.locator("#chat textarea").first.fill("What is the capital of Italy?")
    page.locator("#chat").get_by_label("Submit").first.click()
    versions = page.locator("#chat .question-tools .versions")
    expect(versions).to_contain_text("2/2")
    finished(page, 1)
    expect(page.locator("#chat .answer-tools .versions")).to_have_count(0)
    page.get_by_title("Earlier version").click()
    expect(versions).to_contain_text("1/2")
    expect(page.locator(".bot.message").last).to_contain_text(first.split("\n")[0])
    expect(page.locator(".user.message")).to_have_text(["What is the capital of France?"])
    send(page, "Is it a large city?")
    assert "(memory)" in finished(page, 2)


def test_what_is_being_typed_is_prefilled(page: Page) -> None:
    send(page, "What is the capital of France?")
    finished(page, 1)
    box, draft = page.locator("#message textarea"), "Please compare it with the capitals of Italy, "
    draft += "Spain, Portugal, Greece and Malta"
    box.fill(draft)
    expect(page.locator("#draft .draft_ready")).to_be_visible()
    box.press_sequentially(" too.")
    box.press("Enter")
    prefilled = re.search(r"prefilled (\d+)", finished(page, 2))
    assert prefilled is not None
    assert int(prefilled[1]) < 15


def test_the_live_panel_names_the_own_conversation(page: Page) -> None:
    send(page, "What is the capital of France?")
    finished(page, 1)
    page.locator(".sidebar.right .toggle-button").click()
    expect(page.locator(".panel .own-row").first).to_contain_text(TOPIC)
    expect(page.locator(".panel svg rect.kept")).to_have_count(1)


def test_an_example_is_answered(page: Page) -> None:
    page.get_by_role("button", name="What is the capital of France?").click()
    assert "Paris" in finished(page, 1)


def test_an_empty_message_gets_a_sentence(page: Page) -> None:
    send(page, "   ")
    expect(page.locator("#chat .notice")).to_have_count(1)


def test_conversations_of_two_visitors_are_apart(page: Page, browser: Any, app: App) -> None:
    send(page, "What is the capital of France?")
    finished(page, 1)
    stranger = browser.new_context(locale="zh-CN").new_page()
    stranger.goto(app.url)
    expect(stranger.get_by_text("想聊些什么？")).to_be_visible()
    assert stranger.locator(".user.message").count() == 0
    stranger.context.close()


def test_leaving_the_page_stops_the_generation(page: Page, browser: Any, app: App) -> None:
    """What was said stays, and is shown when the visitor comes back, in another tab."""
    begin(page)
    again = page.context.new_page()
    page.close()
    again.goto(app.url)
    expect(lines(again)).to_have_text(re.compile("stopped"))


def test_a_restart_in_mid_generation_keeps_conversation_and_kv(
    page: Page, app: App, smollm2_dir: Path
) -> None:
    """Ends the app of this file, and starts it again."""
    send(page, "What is the capital of France? Explain in one paragraph.")
    finished(page, 1)
    line = lines(page).inner_text()
    begin(page)
    app.program.send_signal(signal.SIGTERM)
    assert app.program.wait(PATIENCE_S) == 0
    app.program = start(smollm2_dir, app.data_dir, app.port).program
    app.wait_ready()
    come_back(page, app)
    expect(page.locator(".user.message")).to_have_count(2)
    expect(lines(page)).to_have_text([line, re.compile("stopped")])
    story = answer_text(page)
    be_brief(page)
    page.locator("#chat .go-on").click()
    expect(lines(page).last).to_have_text(
        re.compile(r"reused \d\d+ \((disk|memory)\) · prefilled [01] .*cut")
    )
    assert answer_text(page).startswith(story)
    assert len(answer_text(page)) > len(story)


def last_stored(app: App) -> str:
    """The last message as it is on disk; what comes of a reply is stored about once a second."""
    path = next(app.data_dir.rglob("warmchat.db"))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        row = db.execute("SELECT content FROM message ORDER BY id DESC LIMIT 1").fetchone()
        return str(row[0]) if row else ""


def test_after_a_kill_in_mid_stream_the_answer_is_retried(
    page: Page, app: App, smollm2_dir: Path
) -> None:
    """Ends the app of this file, and starts it again."""
    begin(page)
    eventually(page, lambda: len(last_stored(app)) > 100)
    app.program.kill()
    app.program.wait()
    app.program = start(smollm2_dir, app.data_dir, app.port).program
    app.wait_ready()
    come_back(page, app)
    expect(page.locator("#chat .notice")).to_have_text(re.compile("interrupted"))
    expect(page.locator("#chat .go-on")).to_be_visible()
    set_numbers(page, ("Max tokens", "8"))
    page.locator("#chat").get_by_label("Retry").last.click()
    expect(lines(page)).to_have_text(re.compile("cut at max tokens"))
    expect(page.locator("#chat .answer-tools .versions")).to_have_text(re.compile("2/2"))
    expect(page.locator("#chat .notice")).to_have_count(0)
