"""A running app, and what a person does on its page, for the tests in Chromium."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from weakref import WeakKeyDictionary

from playwright.sync_api import Error, Locator, Page, Request, expect

from tests import ROOT

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LONG = "Write a very long story about a fisherman, with every detail you can think of."
# As many tokens as a reply can have: a long story never ends while a test does something beside it.
MOST_TOKENS = "2048"
PATIENCE_S = 60.0  # what is late on a busy machine is not wrong
QUIET_S = 1.0  # longer than from one event's answer to the next event
expect.set_options(timeout=PATIENCE_S * 1000)
_asked: WeakKeyDictionary[Page, set[Request]] = WeakKeyDictionary()


@dataclass
class App:
    """A running `python app.py`."""

    port: int
    program: subprocess.Popen[bytes]
    data_dir: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def health(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            return error.code, json.load(error)
        except OSError:  # not there yet, or too busy to answer
            return 0, {}

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 120
        while self.health()[0] != 200:
            assert self.program.poll() is None, "the app ended"
            assert time.monotonic() < deadline, self.health()
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(model_dir: Path, data_dir: Path, port: int) -> App:
    command = [sys.executable, "app.py", "--model", str(model_dir), "--data-dir", str(data_dir)]
    command += ["--port", str(port), "--kv-budget", "256MiB"]
    return App(port, subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL), data_dir)


def come_back(page: Page, app: App) -> None:
    """Open the page anew; it may be reloading by itself at this moment, which aborts that once."""
    try:
        page.goto(app.url)
    except Error:
        page.wait_for_timeout(1000)
        page.goto(app.url)


def visit(page: Page, app: App) -> None:
    page.goto(app.url)
    expect(page.get_by_text("What shall we talk about?")).to_be_visible()
    page.wait_for_function("localStorage.getItem('warmchat') !== null")
    set_numbers(page, ("Temperature", "0"), ("Max tokens", MOST_TOKENS))


def be_brief(page: Page) -> None:
    """Behind the long story, another message would be answered at length."""
    set_numbers(page, ("Max tokens", "20"))


def set_numbers(page: Page, *settings: tuple[str, str]) -> None:
    page.get_by_text("Settings").click()
    for label, value in settings:
        number = page.get_by_label(f"number input for {label}")
        number.fill(value)
        number.press("Tab")
    page.get_by_text("Settings").click()


def last_answer(page: Page) -> Locator:
    return page.locator(".bot.message").last


def answer_text(page: Page) -> str:
    """The paragraphs of the last answer, without what stands around them."""
    paragraphs = last_answer(page).locator("p:not(:has(.turn-line, .notice, .tools))")
    return "\n".join(paragraphs.all_inner_texts())


def eventually(page: Page, seen: Callable[[], Any], expected: Any = True) -> None:
    """Wait until what is seen is what is expected."""
    deadline = time.monotonic() + PATIENCE_S
    while (now := seen()) != expected:
        assert time.monotonic() < deadline, f"it stays {now!r}"
        page.wait_for_timeout(100)


def watch(page: Page) -> None:
    """From now on, know which events the server has not answered yet."""
    asked = _asked[page] = set()

    def begins(request: Request) -> None:
        if "/run/" in request.url:
            asked.add(request)

    def ends(request: Request) -> None:
        asked.discard(request)

    page.on("request", begins)
    page.on("requestfinished", ends)
    page.on("requestfailed", ends)


def settled(page: Page) -> None:
    """Wait until all events of a watched page are over, and what comes of them is too."""
    deadline = time.monotonic() + PATIENCE_S
    quiet_at = time.monotonic() + QUIET_S
    while time.monotonic() < quiet_at:
        page.wait_for_timeout(50)
        if _asked[page]:
            quiet_at = time.monotonic() + QUIET_S
        assert time.monotonic() < deadline, _asked[page]


def grows(page: Page, text: Callable[[], str], characters: int = 1) -> None:
    """Wait until there is so much more of a text than now."""
    enough = len(text()) + characters
    eventually(page, lambda: len(text()) >= enough)


def send(page: Page, text: str) -> None:
    box = page.locator("#message textarea")
    expect(box).to_be_editable()
    expect(page.get_by_test_id("submit-button").first).to_be_visible()
    box.fill(text)
    box.press("Enter")


def begin(page: Page) -> None:
    """Ask for the long story, and wait for its first words."""
    answers = page.locator(".bot.message")
    before = answers.count()
    send(page, LONG)
    expect(answers).to_have_count(before + 1)
    has_begun(page)


def has_begun(page: Page) -> None:
    """Wait for the first words of the story, which are in no sign of waiting and in no short answer."""
    expect(last_answer(page)).to_contain_text(re.compile(r"Once upon|fisher|\bthe \w+ \w+"))


def stop(page: Page) -> None:
    page.get_by_test_id("stop-button").first.click()


def lines(page: Page) -> Locator:
    return page.locator("#chat .turn-line")


def finished(page: Page, count: int) -> str:
    """Wait for `count` finished replies; the text of the last one, with its line."""
    expect(lines(page)).to_have_count(count)
    expect(page.get_by_test_id("submit-button").first).to_be_visible()
    return last_answer(page).inner_text()
