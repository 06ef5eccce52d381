"""What hosting for others needs, in Chromium: sign-in, busy, the page of completion, remote images."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import Page, expect

from engine import Message
from engine.tiers.portable import to_json
from tests import ROOT
from tests.web.browsing import (
    LONG,
    MOST_TOKENS,
    App,
    eventually,
    finished,
    free_port,
    grows,
    send,
)
from web.languages.texts import say
from web.users import hashed

pytestmark = pytest.mark.browser
IMAGES = """Look: ![a cat](http://127.0.0.1:{port}/cat.png) and <img src="http://localhost:{port}/dog.png">.

<form action="http://127.0.0.1:{port}/form"><button>Press me</button></form>"""
Visitor = Callable[..., Page]


@contextmanager
def running(model_dir: Path, data_dir: Path, *options: str) -> Iterator[App]:
    port = free_port()
    command = [sys.executable, "app.py", "--model", str(model_dir), "--data-dir", str(data_dir)]
    command += ["--port", str(port), "--kv-budget", "256MiB", *options]
    app = App(port, subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL), data_dir)
    try:
        app.wait_ready()
        yield app
    finally:
        app.program.kill()
        app.program.wait()


@pytest.fixture(scope="module")
def closed_app(smollm2_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app for Anna and Bert only, where nobody may wait."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "users.txt").write_text(f"anna:{hashed('geheim')}\n", "utf-8")
    options = ["--auth", "bert:secret", "--auth-file", str(folder / "users.txt")]
    with running(smollm2_dir, folder, *options, "--max-queue", "0") as app:
        yield app


@pytest.fixture
def visitor(browser: Any) -> Iterator[Visitor]:
    """Makes pages in browsers of their own, none of which asks anything of another machine."""
    requests: list[str] = []
    with ExitStack() as stack:

        def come(address: str, language: str = "en-US") -> Page:
            context = browser.new_context(locale=language)
            stack.callback(context.close)
            page: Page = context.new_page()
            page.on("request", lambda request: requests.append(request.url))
            page.goto(address)
            return page

        yield come
    ours = re.compile(r"http://(127\.0\.0\.1|localhost):\d+/|data:|blob:")
    assert [url for url in requests if not ours.match(url)] == [], "a request left the machine"


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("username").fill(name)
    page.get_by_label("password").fill(password)
    page.get_by_role("button", name="Login").click()


def test_only_who_knows_the_password_comes_in(closed_app: App, visitor: Visitor) -> None:
    page = visitor(closed_app.url)
    expect(page.get_by_label("password")).to_be_visible()
    assert page.locator("#message").count() == 0
    sign_in(page, "anna", "secret")
    expect(page.get_by_text("Incorrect")).to_be_visible()
    sign_in(page, "anna", "geheim")
    expect(page.locator("#message textarea")).to_be_visible()
    expect(page.locator("#account")).to_have_text("Signed in as anna · Sign out")
    page.locator("#account a").click()
    expect(page.get_by_label("password")).to_be_visible()


def test_health_stays_open_and_the_chat_does_not(closed_app: App) -> None:
    assert closed_app.health()[0] == 200
    with pytest.raises(Exception, match=r"401|[Aa]uthent|credentials"):
        Client(closed_app.url, verbose=False)


def test_a_user_has_the_same_conversations_on_every_device_and_no_other_one_has(
    closed_app: App, visitor: Visitor
) -> None:
    laptop, phone, other = (visitor(closed_app.url) for _ in range(3))
    sign_in(laptop, "anna", "geheim")
    send(laptop, "What is the capital of France?")
    finished(laptop, 1)
    sign_in(phone, "anna", "geheim")
    title = phone.locator(".shelf .open").first
    expect(title).to_be_visible()
    title.click()
    expect(phone.locator(".user.message")).to_have_text(re.compile("France"))
    send(phone, "And of Italy?")
    assert "reused 0" not in finished(phone, 2)
    sign_in(other, "bert", "secret")
    expect(other.locator("#shelf .none")).to_be_visible()
    # Bert brings Anna's ids along: they are not his.
    stored = laptop.evaluate("localStorage.getItem('warmchat')")
    other.evaluate("stored => localStorage.setItem('warmchat', stored)", stored)
    other.reload()
    expect(other.locator("#shelf .none")).to_be_visible()
    assert other.locator(".user.message").count() == 0
    expect(other.locator("#message textarea")).to_be_editable()


def test_a_program_that_signs_in_sees_the_conversations_of_that_user(closed_app: App) -> None:
    client = Client(closed_app.url, auth=("bert", "secret"), verbose=False)
    conversation = client.predict(api_name="/new_conversation")
    assert "." not in conversation
    short = {"max_tokens": 5}
    client.predict("Hello", conversation, short, api_name="/chat")
    client.predict("Again", conversation, short, api_name="/chat")
    assert client.predict(conversation, api_name="/figures")["reused_tokens"] > 20
    anna = Client(closed_app.url, auth=("anna", "geheim"), verbose=False)
    assert anna.predict(conversation, api_name="/figures") == {}
    with pytest.raises(Exception, match="no such conversation"):
        anna.predict("Hi", f"user:bert.{conversation}", api_name="/chat")


@pytest.mark.parametrize(("locale", "language"), [("en-US", "en"), ("zh-TW", "zh-TW")])
def test_whoever_comes_to_a_full_queue_is_told_so_and_can_try_again(
    closed_app: App, visitor: Visitor, locale: str, language: str
) -> None:
    """Sixteen long answers run; nobody may wait."""
    page = visitor(closed_app.url, locale)
    page.get_by_role("textbox").first.wait_for()
    page.locator("input").nth(0).fill("bert")
    page.locator("input").nth(1).fill("secret")
    page.locator("button").first.click()
    expect(page.locator("#message textarea")).to_be_editable()
    client = Client(closed_app.url, auth=("anna", "geheim"), verbose=False)
    ids = [client.predict(api_name="/new_conversation") for _ in range(16)]
    story = {"max_tokens": int(MOST_TOKENS), "temperature": 0}
    jobs = [client.submit(LONG, id_, story, api_name="/chat") for id_ in ids]
    while not all(job.outputs() for job in jobs):
        page.wait_for_timeout(100)
    with pytest.raises(Exception, match="busy"):
        client.predict("Hi", api_name="/chat")
    send(page, "Hello")
    expect(page.locator("#chat .notice")).to_have_text(say(language, "busy"))
    assert page.get_by_test_id("toast-body").count() == 0
    for job in jobs:
        job.cancel()
    eventually(page, lambda: is_answered(client))
    page.locator("#chat").get_by_label(re.compile("Retry|重試|重试")).last.click()
    finished(page, 1)
    expect(page.locator(".user.message")).to_have_count(1)


def is_answered(client: Client) -> bool:
    """Whether the queue has room."""
    try:
        client.predict("Hi", settings={"max_tokens": 1}, api_name="/chat")
    except AppError:
        return False
    return True


def test_text_is_completed_with_figures_and_can_be_stopped(app: App, visitor: Visitor) -> None:
    page = visitor(app.url)
    page.locator("#to-completion").click()
    prompt, output = page.locator("#prompt textarea"), page.locator("#completion textarea")
    expect(prompt).to_have_value("The capital of France is")
    page.locator("#run").click()
    expect(output).to_have_value(re.compile("Paris"))
    figures = page.locator("#figures .figures")
    expect(figures).to_be_visible()
    numbers = {div.locator("dt").inner_text(): div.locator("dd").inner_text()
               for div in figures.locator("div").all()}  # fmt: skip
    assert int(numbers["Tokens of the text"]) > 3
    assert 1 <= int(numbers["Tokens generated"]) <= 128
    assert re.fullmatch(r"\d+\.\d\d s", numbers["Time to first token"])
    assert re.fullmatch(r"[\d.]+ ms", numbers["Time per token"])
    assert float(numbers["Tokens per second"]) > 1
    assert float(numbers["Total time"].split()[0]) > float(
        numbers["Time to first token"].split()[0]
    )
    page.get_by_label("number input for Max tokens").fill(MOST_TOKENS)
    page.get_by_label("number input for Temperature").fill("0")
    prompt.fill("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,")
    prompt.press("Shift+Enter")
    expect(output).to_have_value(re.compile(r"\d+, \d+, \d+"))
    grows(page, output.input_value)
    page.locator("#stop").click()
    expect(page.locator("#figures .note")).to_have_text("stopped")
    expect(page.locator("#run")).to_be_enabled()
    page.locator("#to-chat").click()
    expect(page.locator("#message textarea")).to_be_editable()


@pytest.mark.parametrize("language", ["zh-CN", "zh-TW"])
def test_the_page_of_completion_speaks_the_language_of_the_browser(
    app: App, visitor: Visitor, language: str
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
    smollm2_dir: Path, tmp_path: Path, visitor: Visitor
) -> None:
    model = tmp_path / "base-model"
    model.mkdir()
    for file in smollm2_dir.iterdir():
        if file.name != "chat_template.jinja":
            (model / file.name).symlink_to(file)
    for name in ("tokenizer_config.json", "manifest.json"):
        if (config := model / name).exists():
            content = json.loads(config.read_text("utf-8"))
            content.pop("chat_template", None)
            config.unlink()
            config.write_text(json.dumps(content), "utf-8")
    with running(model, tmp_path / "data") as app:
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
    app: App, visitor: Visitor, elsewhere: tuple[int, list[str]], tmp_path: Path
) -> None:
    port, asked = elsewhere
    page = visitor(app.url)
    expect(page.locator("#message textarea")).to_be_editable()
    answer = IMAGES.format(port=port)
    file = tmp_path / "pictures.json"
    file.write_text(to_json([Message("user", "Show me"), Message("assistant", answer)]), "utf-8")
    with page.expect_file_chooser() as chooser:
        page.locator("#import").click()
    chooser.value.set_files(file)
    images = page.locator("#chat .bot.message img.remote-image")
    expect(images).to_have_count(2)
    expect(images.first).to_have_attribute("alt", f"Image from 127.0.0.1:{port} — a cat")
    expect(images.last).to_have_attribute("alt", f"Image from localhost:{port}")
    box = images.first.bounding_box()
    assert box is not None
    assert box["width"] > 60
    page.locator("#chat").get_by_text("Press me").click()
    page.wait_for_timeout(300)
    assert asked == []
    with page.expect_popup() as opened:
        images.first.click()
    opened.value.wait_for_load_state()
    assert "/cat.png" in asked
    assert "/form" not in asked
    assert "/dog.png" not in asked


def test_a_form_in_a_message_goes_nowhere(app: App, visitor: Visitor) -> None:
    page = visitor(app.url)
    expect(page.locator("#message textarea")).to_be_editable()
    send(page, 'A form: <form action="/healthz"><button>Press me</button></form>')
    finished(page, 1)
    page.locator("#chat .user.message button", has_text="Press me").click()
    page.wait_for_timeout(500)
    assert "healthz" not in page.url
