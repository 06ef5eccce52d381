"""The keyboard, Stop at every moment, and the very first start, in Chromium."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import Error, Page, Route, expect

from tests import ROOT
from tests.conftest import DEFAULT_MODEL
from tests.web.browsing import (
    LONG,
    MOST_TOKENS,
    App,
    answer_text,
    be_brief,
    begin,
    finished,
    free_port,
    grows,
    has_begun,
    last_answer,
    lines,
    send,
    set_numbers,
    settled,
    stop,
)

pytestmark = pytest.mark.browser
FIRST_START_MS = 180_000  # a download of 88 MB, and the export


def test_what_is_entered_while_an_answer_comes_stays_until_it_is_over(page: Page) -> None:
    box = page.locator("#message textarea")
    begin(page)
    page.keyboard.type("And of Italy?")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    grows(page, last_answer(page).inner_text)
    expect(box).to_have_value("And of Italy?")
    stop(page)
    finished(page, 1)
    expect(page.locator(".user.message")).to_have_count(1)
    page.wait_for_timeout(500)
    expect(box).to_have_value("And of Italy?")
    be_brief(page)
    box.press("Enter")
    finished(page, 2)
    expect(page.locator(".user.message").last).to_have_text("And of Italy?")
    expect(box).to_have_value("")


def test_enter_twice_says_it_once(page: Page) -> None:
    box = page.locator("#message textarea")
    box.fill(LONG)
    box.press("Enter")
    page.keyboard.press("Enter")
    stop(page)
    finished(page, 1)
    expect(page.locator(".user.message")).to_have_count(1)
    expect(page.locator("#chat .notice")).to_have_count(0)


def test_what_is_entered_before_the_page_knows_its_conversation_is_sent_then(
    page: Page, app: App
) -> None:
    """The server is slow to say which conversation it is."""
    _, load = loading_steps(page, app)
    page.evaluate("localStorage.clear()")
    held = hold(page, load)
    page.goto(app.url)
    box = page.locator("#message textarea")
    box.fill("What is the capital of France?")
    box.press("Enter")
    expect(page.get_by_test_id("submit-button").first).to_be_hidden()
    page.wait_for_timeout(500)
    expect(page.locator(".user.message, #chat .notice")).to_have_count(0)
    expect(box).to_have_value("What is the capital of France?")
    for button in ("New chat", "Open a saved chat", "Settings"):
        with pytest.raises(Error, match="Timeout"):
            page.get_by_role("button", name=button).click(timeout=500)
    go_on(held)
    assert "Paris" in finished(page, 1)
    expect(page.locator(".user.message")).to_have_count(1)
    expect(box).to_have_value("")
    page.wait_for_timeout(1000)  # a draft of what was in the box would be told by now
    expect(page.locator("#draft")).to_have_text("")


def test_what_is_entered_before_the_settings_are_there_is_answered_with_them(
    page: Page, app: App
) -> None:
    """The server is slow to fill them in."""
    set_numbers(page, ("Max tokens", "5"))
    settled(page)
    settings, _ = loading_steps(page, app)
    held = hold(page, settings)
    page.reload()
    box = page.locator("#message textarea")
    box.fill(LONG)
    box.press("Enter")
    page.wait_for_timeout(500)
    expect(page.locator(".user.message")).to_have_count(0)
    go_on(held)
    assert "cut at max tokens" in finished(page, 1)
    assert len(answer_text(page).split()) <= 5


def loading_steps(page: Page, app: App) -> tuple[int, int]:
    """When the page opens, the event that fills the settings in, and behind it the one for the chat."""
    config = page.request.get(f"{app.url}/config").json()
    chat = next(part for part in config["components"] if part["props"].get("elem_id") == "chat")
    steps = {step["id"]: step for step in config["dependencies"]}
    for step in steps.values():
        before = steps.get(step["trigger_after"], {"targets": []})
        if chat["id"] in step["outputs"] and any(event == "load" for _, event in before["targets"]):
            return before["id"], step["id"]
    raise AssertionError("nothing fills the chat in")


def hold(page: Page, step: int) -> list[Route]:
    """From now on the page gets no answer to this event; what it has asked."""
    held: list[Route] = []

    def keep_back(route: Route) -> None:
        if (route.request.post_data_json or {}).get("fn_index") == step:
            held.append(route)
        else:
            route.continue_()

    page.route("**/run/**", keep_back)
    return held


def go_on(held: list[Route]) -> None:
    for route in held:
        route.continue_()


def test_shift_and_enter_make_a_line(page: Page) -> None:
    box = page.locator("#message textarea")
    box.focus()
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(box).to_have_value("One\ntwo")
    expect(page.locator(".user.message")).to_have_count(0)


def test_escape_stops_and_a_slash_goes_to_the_box(page: Page) -> None:
    box = page.locator("#message textarea")
    begin(page)
    page.keyboard.press("Escape")
    assert "stopped" in finished(page, 1)
    box.evaluate("box => box.blur()")
    page.keyboard.press("/")
    expect(box).to_be_focused()
    expect(box).to_have_value("")
    page.keyboard.type("either/or")
    expect(box).to_have_value("either/or")
    page.get_by_placeholder("Search").press("/")
    expect(page.get_by_placeholder("Search")).to_have_value("/")


def test_stop_before_the_first_word_of_a_long_message(page: Page) -> None:
    """Some thousands of tokens are being prefilled, none of them while they are written."""
    page.get_by_text("Settings").click()
    page.get_by_label("Read ahead").uncheck()
    page.get_by_text("Settings").click()
    send(page, "The ships of Bremen sail to the north. " * 700)
    expect(page.locator("#chat")).to_contain_text(re.compile(r"Prefill \d+ %"))
    stop(page)
    assert "stopped" in finished(page, 1)
    expect(page.locator("#chat")).not_to_contain_text("Prefill ")
    expect(page.locator(".user.message")).to_have_count(1)
    page.locator("#chat").get_by_label("Undo").last.click()
    expect(page.locator(".user.message")).to_have_count(0)
    send(page, "What is the capital of France?")
    assert "Paris" in finished(page, 1)


def test_stop_while_others_are_before_one(page: Page, app: App) -> None:
    """Sixteen long answers run, so the next one waits."""
    with crowd(app, page):
        send(page, LONG)
        expect(page.locator("#chat")).to_contain_text("Waiting")
        stop(page)
        assert "stopped" in finished(page, 1)
    page.locator("#chat").get_by_label("Retry").last.click()
    has_begun(page)
    page.keyboard.press("Escape")
    finished(page, 1)


@contextmanager
def crowd(app: App, page: Page) -> Iterator[None]:
    """As many long answers as may run at a time."""
    client = Client(app.url, verbose=False)
    ids = [client.predict(api_name="/new_conversation") for _ in range(16)]
    story: dict[str, Any] = {"max_tokens": int(MOST_TOKENS), "temperature": 0}
    jobs = [client.submit(LONG, id_, story, api_name="/chat") for id_ in ids]
    try:
        while not all(job.outputs() for job in jobs):
            failures = [job for job in jobs if job.done() and Future.exception(job)]
            assert not failures, "an answer ended early"
            page.wait_for_timeout(100)
        yield
    finally:
        for job in jobs:
            job.cancel()


def test_the_first_start_shows_the_page_and_how_far_it_is(browser: Any, tmp_path: Path) -> None:
    """The default model is fetched and exported; who asks meanwhile is answered then."""
    app = App(free_port(), subprocess.Popen([sys.executable, "-c", ""]), tmp_path)
    command = [sys.executable, "app.py", "--model", DEFAULT_MODEL, "--data-dir", str(tmp_path)]
    command += ["--port", str(app.port), "--kv-budget", "256MiB"]
    app.program = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    page = browser.new_context(locale="en-US").new_page()
    try:
        while app.health()[0] == 0:
            assert app.program.poll() is None, "the app ended"
            page.wait_for_timeout(50)
        assert app.health()[0] == 503, "it is still being made"
        page.goto(app.url)
        status = page.locator("#status .exporting")
        expect(status).to_contain_text(f"Preparing the model {DEFAULT_MODEL}")
        expect(status).to_have_text(re.compile(r"… .*\d+ %"), timeout=FIRST_START_MS)
        send(page, "What is the capital of France?")
        expect(page.locator("#chat")).to_contain_text("Preparing the model")
        expect(lines(page)).to_have_count(1, timeout=FIRST_START_MS)
        assert "Paris" in finished(page, 1)
        expect(page.locator("#status .ready")).to_have_text(DEFAULT_MODEL)
    finally:
        page.context.close()
        app.program.kill()
        app.program.wait()
