"""What hosting for others needs: sign-in, a full queue, the page of completion, remote images."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import Page, expect

from engine.errors import QueueFull
from tests.browser.conftest import Visitor
from tests.browser.page import (
    addressed,
    answers,
    ask,
    box,
    finished,
    number,
    questions,
    send,
    tool,
    visit,
)
from tests.scripted import HOLD, Say
from tests.scripted.app import ScriptedApp, serving
from web.gate.tries import FREE_TRIES, LONGEST_WAIT_S
from web.languages import say
from web.users import hashed

IMAGES = """Look: ![a cat](http://127.0.0.1:{port}/cat.png) and <img src="http://localhost:{port}/dog.png">.

<form action="http://127.0.0.1:{port}/form"><button>Press me</button></form>"""
FRANCE = "What is the capital of France?"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    """A server for Anna and Bert only."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "users.txt").write_text(f"anna:{hashed('geheim')}\n", "utf-8")
    options = ["--auth", "bert:secret", "--auth-file", str(folder / "users.txt")]
    with serving(folder, *options) as app:
        yield app


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("username").fill(name)
    page.get_by_label("password").fill(password)
    page.get_by_role("button", name="Login").click()


def test_only_who_knows_the_password_comes_in(closed: ScriptedApp, visitor: Visitor) -> None:
    page = visitor(closed.url)
    expect(page.get_by_label("password")).to_be_visible()
    assert page.locator("#message").count() == 0
    sign_in(page, "anna", "secret")
    expect(page.get_by_text("Incorrect")).to_be_visible()
    sign_in(page, "anna", "geheim")
    expect(box(page)).to_be_visible()
    expect(page.locator("#account")).to_have_text("Signed in as anna · Sign out")
    expect(page.locator("#shelf .none")).to_be_visible()  # it moves what stands below it
    page.locator("#account a").click()
    expect(page.get_by_label("password")).to_be_visible()


def test_a_user_has_the_same_conversations_on_every_device_and_no_other_one_has(
    closed: ScriptedApp, visitor: Visitor
) -> None:
    laptop, phone, other = (visitor(closed.url) for _ in range(3))
    sign_in(laptop, "anna", "geheim")
    ask(laptop, FRANCE)
    sign_in(phone, "anna", "geheim")
    phone.locator(".shelf .open").first.click()
    expect(questions(phone)).to_have_text([FRANCE])
    assert "reused 0" not in ask(phone, "And of Italy?", 2)
    sign_in(other, "bert", "secret")
    expect(other.locator("#shelf .none")).to_be_visible()
    # Bert brings Anna's ids along: they are not his.
    stored = laptop.evaluate("localStorage.getItem('warmchat')")
    other.evaluate("stored => localStorage.setItem('warmchat', stored)", stored)
    other.reload()
    expect(other.locator("#shelf .none")).to_be_visible()
    expect(questions(other)).to_have_count(0)
    expect(box(other)).to_be_editable()


def test_a_program_that_signs_in_sees_the_conversations_of_that_user(closed: ScriptedApp) -> None:
    with pytest.raises(Exception, match=r"401|[Aa]uthent|credentials"):
        Client(closed.url, verbose=False)
    bert = Client(closed.url, auth=("bert", "secret"), verbose=False)
    conversation = bert.predict(api_name="/new_conversation")
    assert "." not in conversation
    for text in ("Hello", "Again"):
        bert.predict(text, conversation, api_name="/chat")
    assert bert.predict(conversation, api_name="/figures")["reused_tokens"] > 20
    anna = Client(closed.url, auth=("anna", "geheim"), verbose=False)
    assert anna.predict(conversation, api_name="/figures") == {}
    with pytest.raises(Exception, match="no such conversation"):
        anna.predict("Hi", f"user:bert.{conversation}", api_name="/chat")


def test_whoever_comes_to_a_full_queue_is_told_so_in_their_language(
    app: ScriptedApp, visitor: Visitor
) -> None:
    page = visitor(app.url, "zh-TW")
    expect(page.get_by_text(say("zh-TW", "welcome"))).to_be_visible()
    app.script.refusal = QueueFull("Too many wait.")
    send(page, "Hello")
    expect(page.locator("#chat .notice")).to_have_text(say("zh-TW", "busy"))
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    tool(page, say("zh-TW", "retry")).last.click()
    finished(page)
    expect(questions(page)).to_have_text(["Hello"])


def test_text_is_completed_with_figures_and_can_be_stopped(
    app: ScriptedApp, visitor: Visitor
) -> None:
    page = visitor(f"{app.url}/completion")
    prompt, output = page.locator("#prompt textarea"), page.locator("#completion textarea")
    expect(prompt).to_have_value("The capital of France is")
    app.script.write(Say(" Paris."))
    page.locator("#run").click()
    expect(output).to_have_value(" Paris.")
    shown = page.locator("#figures .figures")
    expect(shown).to_be_visible()
    numbers = {row.locator("dt").inner_text(): row.locator("dd").inner_text()
               for row in shown.locator("div").all()}  # fmt: skip
    assert numbers["Tokens of the text"] == str(len("The capital of France is"))
    assert numbers["Tokens generated"] == str(len(" Paris.") + 1)
    assert re.fullmatch(r"\d+\.\d\d s", numbers["Time to first token"])
    assert re.fullmatch(r"[\d.]+ ms", numbers["Time per token"])
    assert float(numbers["Tokens per second"]) > 1
    assert re.fullmatch(r"\d+\.\d\d s", numbers["Total time"])
    expect(page.locator("#run")).to_be_enabled()
    number(page, "Max tokens").fill("77")
    number(page, "Max tokens").press("Tab")
    app.script.write(Say("4, 5"), HOLD)
    prompt.fill("1, 2, 3, ")
    prompt.press("Shift+Enter")
    expect(output).to_have_value("4, 5")
    page.locator("#stop").click()
    expect(page.locator("#figures .note")).to_have_text("stopped")
    expect(page.locator("#run")).to_be_enabled()
    assert app.script.requests[-1].params.max_tokens == 77
    page.locator("#to-chat").click()
    expect(box(page)).to_be_editable()


@pytest.mark.parametrize("language", ["zh-CN", "zh-TW"])
def test_the_page_of_completion_speaks_the_language_of_the_browser(
    app: ScriptedApp, visitor: Visitor, language: str
) -> None:
    page = visitor(f"{app.url}/completion", language)
    for key in ("completion_run", "completion_stop", "completion_output", "completion_intro"):
        expect(page.get_by_text(say(language, key), exact=True)).to_be_visible()
    prompt = page.locator("#prompt textarea")
    expect(prompt).to_have_value(say(language, "completion_example"))
    prompt.fill(" ")
    page.locator("#run").click()
    expect(page.locator("#figures .note")).to_have_text(say(language, "completion_empty"))


def test_a_base_model_leads_to_the_page_of_completion(
    visitor: Visitor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serving(tmp_path_factory.mktemp("base"), has_chat_template=False) as app:
        page = visitor(app.url)
        expect(page.locator("#status")).to_contain_text("no chat template")
        page.locator("#status a").click()
        expect(page.locator("#run")).to_be_visible()


@pytest.fixture
def elsewhere() -> Iterator[tuple[int, list[str]]]:
    """Another server: its port, and what was asked of it."""
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, asked
    server.shutdown()


def test_images_of_other_hosts_are_named_and_only_a_click_opens_them(
    app: ScriptedApp, page: Page, elsewhere: tuple[int, list[str]]
) -> None:
    port, asked = elsewhere
    app.script.write(Say(IMAGES.format(port=port)))
    ask(page, "Show me")
    images = page.locator("#chat .bot.message img.remote-image")
    expect(images).to_have_count(1)
    expect(answers(page).last).to_contain_text("<img src=")  # written out, it is text
    expect(images.first).to_have_attribute("alt", f"Image from 127.0.0.1:{port} — a cat")
    shown = images.first.bounding_box()
    assert shown is not None
    assert shown["width"] > 60
    with page.expect_popup() as opened:
        images.first.click()
    opened.value.wait_for_load_state()
    assert "/cat.png" in asked
    assert "/form" not in asked
    assert "/dog.png" not in asked


def test_a_form_in_a_message_goes_nowhere(app: ScriptedApp, page: Page) -> None:
    ask(page, 'A form: <form action="/healthz"><button>Press me</button></form>')
    address = addressed(page)
    expect(page.locator("#chat .message")).to_contain_text(["<button>Press me", "<button>Press me"])
    expect(page.locator("#chat button", has_text="Press me")).to_have_count(0)
    ask(page, FRANCE, 2)
    assert page.url == address


def test_who_asks_while_the_model_is_being_made_is_answered_then(
    visitor: Visitor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serving(tmp_path_factory.mktemp("slow"), may_load=False) as app:
        page = visitor()
        visit(page, app.url)
        expect(page.locator("#status .exporting")).to_contain_text("30 %")
        expect(page.locator("#first-start")).to_contain_text("Converting weights 30 %")
        send(page, FRANCE)
        expect(page.locator("#chat")).to_contain_text("Preparing the model")
        app.let_load()
        assert f"You said: {FRANCE}" in finished(page)
        expect(page.locator("#status .ready")).to_have_text("scripted-model")
        expect(page.locator("#first-start")).to_be_empty()


def test_whoever_is_wrong_too_often_is_told_how_long_to_wait(
    closed: ScriptedApp, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.gate.tries.FIRST_WAIT_S", LONGEST_WAIT_S)
    page = visitor(closed.url, "zh-CN")
    for _ in range(FREE_TRIES):
        with page.expect_response("**/login"):
            sign_in_as_carl(page)
    sign_in_as_carl(page)
    expect(page.locator("#sign-in-wait")).to_contain_text("密码错误次数过多")


def sign_in_as_carl(page: Page) -> None:
    name, password = page.locator("input, textarea").first, page.locator("input[type=password]")
    name.fill("carl")
    password.fill("wrong")
    page.get_by_role("button").last.click()
