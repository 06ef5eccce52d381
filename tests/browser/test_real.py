"""The whole program with the real model, as a person uses it: ten tests, what no double can show.

What the model says, and how quickly, is its own affair: a test waits for what must come of it, and a
long answer is so long that it cannot end while somebody looks at it.
"""

import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import Page, expect

from tests import ROOT
from tests.browser.conftest import Visitor
from tests.browser.page import (
    PATIENCE_S,
    answer_text,
    answers,
    ask,
    figures,
    finished,
    lines,
    questions,
    send,
    set_number,
    stop,
    tool,
    unfold_settings,
    visit,
    words,
)
from tests.browser.real_app import RealApp, running
from tests.conftest import DEFAULT_MODEL
from web.languages import say

pytestmark = pytest.mark.model

FRANCE, ITALY = "What is the capital of France?", "And of Italy?"
STORY = "Write a very long story about a fisherman, with every detail you can think of."
LONGEST = "6000"  # of the context's 8,192 tokens: a minute, and more on a slow machine
PATIENTLY_MS = 180_000


@pytest.fixture(scope="module")
def app(smollm2_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealApp]:
    folder = tmp_path_factory.mktemp("data")
    with running(smollm2_dir, folder, "--max-tokens", LONGEST) as program:
        yield program


@pytest.fixture
def page(visitor: Visitor, app: RealApp) -> Page:
    opened = visitor()
    visit(opened, app.url)
    unfold_settings(opened)
    set_number(opened, "Temperature", "0")
    opened.locator("#drawer-buttons [data-tab=settings]").click()
    return opened


def begin(page: Page) -> str:
    """Ask for the story, and wait for some of it, which is returned."""
    count = answers(page).count()
    send(page, STORY)
    expect(answers(page)).to_have_count(
        count + 1
    )  # the last one is the story's, not the one before
    expect(answers(page).last).to_have_text(re.compile(r"(\w+\W+){20}"))
    return answer_text(page)


def test_an_answer_streams_until_it_is_stopped(page: Page) -> None:
    so_far = begin(page)
    page.wait_for_function(
        "length => [...document.querySelectorAll('.bot.message')].at(-1).innerText.length > length",
        arg=len(answers(page).last.inner_text()) + 40,
    )
    assert answer_text(page).startswith(so_far.rstrip("."))
    stop(page)
    assert "stopped" in finished(page)


def test_the_second_turn_reuses_the_first(page: Page) -> None:
    ask(page, FRANCE)
    answer = ask(page, ITALY, 2)
    expect(lines(page).last).to_have_attribute("title", re.compile(r"\(memory\)"))
    reused, prefilled = figures(answer)
    assert reused > 30
    assert prefilled < 30


def test_an_edited_question_and_its_first_version_both_stay(page: Page) -> None:
    first = ask(page, FRANCE)
    page.locator("#chat").get_by_label("Edit").first.click()
    page.locator("#chat textarea").first.fill("What is the capital of Italy?")
    page.locator("#chat").get_by_label("Submit").first.click()
    versions = page.locator("#chat .question-tools .versions")
    expect(versions).to_contain_text("2/2")
    finished(page)
    page.get_by_title("Earlier version").click()
    expect(versions).to_contain_text("1/2")
    expect(answers(page).last).to_contain_text(first.split("\n")[0])
    expect(words(page)).to_have_text([FRANCE])
    ask(page, "Is it a large city?", 2)
    expect(lines(page).last).to_have_attribute("title", re.compile(r"\(memory\)"))


def test_a_file_is_read_ahead_and_goes_with_the_question(page: Page) -> None:
    report = "\n\n".join(f"Paragraph {i}: ships lay in Bremen." for i in range(160))
    with page.expect_file_chooser() as chooser:
        page.locator("#attach [data-act=add]").click()
    chooser.value.set_files(
        {"name": "report.txt", "mimeType": "text/plain", "buffer": report.encode()}
    )
    expect(page.locator("#draft .draft_ready")).to_be_visible()
    reused, prefilled = figures(ask(page, "Which city is it?"))
    assert reused > 1000
    assert prefilled < 30


def test_the_page_speaks_chinese_where_the_browser_does(app: RealApp, visitor: Visitor) -> None:
    page = visitor(app.url, "zh-CN")
    expect(page.get_by_text(say("zh-CN", "welcome"))).to_be_visible()
    send(page, FRANCE)
    expect(lines(page)).to_contain_text("新读")
    expect(page.get_by_role("button", name=say("zh-CN", "settings"), exact=True)).to_be_visible()


def test_the_lines_of_the_readme_chat_and_the_second_turn_reuses_the_first(
    app: RealApp, capsys: pytest.CaptureFixture[str]
) -> None:
    section = (ROOT / "README.md").read_text("utf-8").partition("## The chat from a program")[2]
    program = section.partition("```python\n")[2].partition("```")[0]
    assert len([line for line in program.splitlines() if line]) == 5
    names: dict[str, Any] = {}
    exec(program.replace("http://127.0.0.1:7860", app.url), names)
    assert len(capsys.readouterr().out.splitlines()) >= 2
    client: Client = names["client"]
    cost = client.predict(names["conversation"], api_name="/figures")
    assert cost["reused_tokens"] > 30
    assert cost["prefilled_tokens"] < 20
    assert cost["source"] == "memory"


def test_after_a_restart_an_open_page_goes_on_with_its_kv(page: Page, app: RealApp) -> None:
    ask(page, FRANCE)
    line = lines(page).inner_text()
    begin(page)
    app.program.send_signal(signal.SIGTERM)
    assert app.program.wait(PATIENCE_S) == 0
    app.start()
    app.wait_for(200)
    page = in_a_new_tab(page)
    # A machine that is too busy to end an answer in the seconds before the program goes interrupts it.
    ends = page.locator("#chat .turn-line, #chat .notice")
    expect(ends).to_have_text([line, re.compile("stopped|interrupted")])
    is_saved = "stopped" in ends.last.inner_text()
    expect(questions(page)).to_have_text([FRANCE, STORY])
    story = answer_text(page)
    unfold_settings(page)
    set_number(page, "Max tokens", "20")
    page.locator("#chat .go-on").click()
    kept = r".*reused \d\d+ · new [01] .*" if is_saved else ""
    expect(lines(page)).to_have_text([line, re.compile(f"{kept}cut")])
    assert answer_text(page).startswith(story)
    assert len(answer_text(page)) > len(story)


def in_a_new_tab(page: Page) -> Page:
    """What the page shows: itself it reloads at a moment of its own."""
    address, again = page.url, page.context.new_page()
    page.close()
    again.goto(address)
    return again


def last_stored(app: RealApp) -> str:
    """The last message as it is on disk; what comes of a reply is stored about once a second."""
    path = next(app.data_dir.rglob("warmchat.db"))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        row = db.execute("SELECT content FROM message ORDER BY id DESC LIMIT 1").fetchone()
        return str(row[0]) if row else ""


def test_after_a_kill_in_mid_stream_the_answer_is_there_and_can_be_retried(
    page: Page, app: RealApp
) -> None:
    begin(page)
    while len(last_stored(app)) <= 100:
        page.wait_for_event("response")
    app.kill()
    app.start()
    app.wait_for(200)
    page = in_a_new_tab(page)
    expect(page.locator("#chat .notice")).to_have_text(re.compile("interrupted"))
    expect(page.locator("#chat .go-on")).to_be_visible()
    unfold_settings(page)
    set_number(page, "Max tokens", "8")
    tool(page, "Retry").last.click()
    expect(lines(page)).to_have_text(re.compile("cut at max tokens"))
    expect(page.locator("#chat .answer-tools .versions")).to_have_text(re.compile("2/2"))
    expect(page.locator("#chat .notice")).to_have_count(0)


def test_who_signs_in_chats_and_nobody_else_does(
    smollm2_dir: Path, tmp_path: Path, visitor: Visitor
) -> None:
    with running(smollm2_dir, tmp_path, "--auth", "anna:geheim", "--max-tokens", "20") as app:
        assert app.health()[0] == 200, "health stays open"
        with pytest.raises(Exception, match=r"401|[Aa]uthent|credentials"):
            Client(app.url, verbose=False)
        page = visitor(app.url)
        page.get_by_label("username").fill("anna")
        page.get_by_label("password").fill("geheim")
        page.get_by_role("button", name="Login").click()
        ask(page, FRANCE)
        expect(page.locator("#account")).to_contain_text("Signed in as anna")


def test_the_first_start_makes_the_model_while_the_page_is_there_already(
    smollm2_dir: Path, tmp_path: Path, visitor: Visitor
) -> None:
    """The default model is exported from what was fetched before; who asks meanwhile is answered then."""
    (tmp_path / "downloads").symlink_to(ROOT / "data" / "downloads")
    app = RealApp(DEFAULT_MODEL, tmp_path)
    app.start()
    try:
        app.wait_for(503)
        assert app.health()[1]["model"] == DEFAULT_MODEL
        page = visitor(app.url)
        # How far it is, or already that it is there: test_hosting holds it to look longer.
        expect(page.locator("#status .status")).to_contain_text(DEFAULT_MODEL)
        send(page, FRANCE)
        expect(lines(page)).to_have_count(1, timeout=PATIENTLY_MS)
        finished(page)
        expect(page.locator("#status .ready")).to_have_text(DEFAULT_MODEL)
    finally:
        app.kill()
