"""What a person does on the page, and what they wait to see there. Nothing here waits for time."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Request, Response, Route, expect

from tests.scripted import HOLD, Say
from tests.scripted.app import ScriptedApp

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--process-per-site",  # pages of a visitor share what is compiled
]  # fmt: skip
PATIENCE_S = 60.0  # what is late on a busy machine is not wrong
LOOK_MS = 50
FRAME = "new Promise(requestAnimationFrame)"
WELCOME = "What shall we talk about?"
expect.set_options(timeout=PATIENCE_S * 1000)


def visit(page: Page, url: str) -> None:
    """Open the page, up to where it knows its conversation."""
    page.goto(url)
    expect(page.get_by_text(WELCOME)).to_be_visible()
    known(page)


def known(page: Page) -> None:
    """Wait until the page knows its conversation: then it takes messages."""
    page.wait_for_function("localStorage.getItem('warmchat') !== null")
    expect(box(page)).to_be_editable()


def in_a_new_tab(page: Page) -> Page:
    """What the page shows, behind an end of the server: itself it reloads at a moment of its own."""
    address, again = page.url, page.context.new_page()
    page.close()
    again.goto(address)
    return again


def box(page: Page) -> Locator:
    return page.locator("#message textarea")


def send_button(page: Page) -> Locator:
    return page.get_by_test_id("submit-button").first


def send(page: Page, text: str) -> None:
    expect(box(page)).to_be_editable()
    expect(send_button(page)).to_be_visible()
    box(page).fill(text)
    box(page).press("Enter")


def stop(page: Page) -> None:
    page.get_by_test_id("stop-button").first.click()


def questions(page: Page) -> Locator:
    return page.locator(".user.message")


def words(page: Page) -> Locator:
    """What the person typed, without what stands around it."""
    return page.locator("#chat .user.message .typed")


def answers(page: Page) -> Locator:
    return page.locator(".bot.message")


def answer_text(page: Page) -> str:
    """The paragraphs of the last answer, without what stands around them."""
    paragraphs = answers(page).last.locator("p:not(:has(.notice, .tools))")
    return "\n".join(paragraphs.all_inner_texts())


def tool(page: Page, name: str) -> Locator:
    """The buttons of that name below answers, which are there to be pressed."""
    return page.locator("#chat .tools").get_by_label(name, exact=True)


def lines(page: Page) -> Locator:
    """The lines of figures under finished answers."""
    return page.locator("#chat .turn-line")


def finished(page: Page, count: int = 1) -> str:
    """Wait for `count` finished answers; the text of the last one, with its line."""
    expect(lines(page)).to_have_count(count)
    expect(send_button(page)).to_be_visible()
    return answers(page).last.inner_text()


def ask(page: Page, text: str, count: int = 1) -> str:
    """Send a message and wait for the answer, which is the `count`th on the page."""
    send(page, text)
    return finished(page, count)


def begin(page: Page, app: ScriptedApp) -> None:
    """Ask for a story that holds behind its first words, which are shown."""
    app.script.write(Say("Once upon"), HOLD)
    send(page, "Tell me a story.")
    expect(answers(page).last).to_contain_text("Once upon")


def figures(answer: str) -> tuple[int, int]:
    """Tokens reused and prefilled, as the line of an answer says."""
    found = re.search(r"reused ([\d,]+).* new ([\d,]+)", answer)
    assert found is not None, answer
    reused, prefilled = (int(number.replace(",", "")) for number in found.groups())
    return reused, prefilled


def titles(page: Page) -> Locator:
    return page.locator(".shelf .title")


def row_of(page: Page, title: str) -> Locator:
    return page.locator(".shelf li").filter(has_text=title)


def choose(page: Page, row: Locator, entry: str) -> None:
    """An entry of the menu of a conversation's row: rename, pin, delete or a form to save it in."""
    row.hover()
    row.get_by_label("More").click()
    page.locator(f".row-menu :is([data-act={entry}], [data-form={entry}])").click()


def new_chat(page: Page) -> None:
    page.locator("#new-chat").click()
    expect(lines(page)).to_have_count(0)


def addressed(page: Page) -> str:
    """Wait until the address names a conversation."""
    page.wait_for_function("new URL(location).searchParams.has('c')")
    return page.url


def open_drawer(page: Page, tab: str) -> None:
    """Open the drawer at one of its tabs, settings or engine."""
    button = page.locator(f"#drawer-buttons [data-tab={tab}]")
    expect(button).to_be_visible()
    if button.get_attribute("aria-expanded") == "false":
        button.click()
    expect(page.locator("#live")).to_have_class(re.compile(r"\bopen\b"))


def advanced(page: Page) -> Locator:
    """What unfolds the settings that few people want."""
    return page.locator("#advanced > .label-wrap")


def unfold_settings(page: Page) -> None:
    """Open the drawer at the settings, all of them."""
    open_drawer(page, "settings")
    expect(page.locator("#system-prompt textarea")).to_be_visible()
    expect(advanced(page)).to_have_attribute("aria-expanded", re.compile("true|false"))
    if advanced(page).get_attribute("aria-expanded") == "false":
        advanced(page).click()
    expect(page.locator("#stop textarea")).to_be_visible()


def number(page: Page, label: str) -> Locator:
    return page.get_by_role("spinbutton", name=label, exact=True)


@contextmanager
def remembered(page: Page) -> Iterator[None]:
    """Around one change of a setting: wait until the browser has kept it."""
    stored = "localStorage.getItem('warmchat-settings')"
    before = page.evaluate(stored)
    yield
    page.wait_for_function(f"before => {stored} !== before", arg=before)


def set_number(page: Page, label: str, value: str) -> None:
    """Set a number among the settings, which are unfolded; the browser keeps it."""
    with remembered(page), page.expect_response(lambda r: float(value) in _sent(r.request)):
        number(page, label).fill(value)
        number(page, label).press("Tab")
    page.evaluate(f"{FRAME}.then(() => {FRAME})")  # an event of the old value may have come first


def _sent(request: Request) -> list[Any]:
    """What an event of the page tells the server."""
    body = request.post_data_json if "/run/" in request.url else None
    return body["data"] if isinstance(body, dict) else []


def until(page: Page, script: str, expected: Any = True) -> None:
    """Wait until a script's value on the page is what is expected."""
    page.wait_for_function(
        f"expected => JSON.stringify({script}) === expected", arg=json.dumps(expected)
    )


def events_of(page: Page, url: str) -> list[dict[str, Any]]:
    """The page's events, as Gradio's configuration has them."""
    found: list[dict[str, Any]] = page.request.get(f"{url}/config").json()["dependencies"]
    return found


def components_of(page: Page, url: str) -> dict[str, int]:
    """The ids of the page's components, by their names."""
    parts = page.request.get(f"{url}/config").json()["components"]
    return {name: part["id"] for part in parts if (name := part["props"].get("elem_id"))}


def loading_steps(page: Page, url: str) -> tuple[int, int]:
    """When the page opens, the event that fills the settings in, and behind it the one for the chat."""
    chat = components_of(page, url)["chat"]
    steps = {step["id"]: step for step in events_of(page, url)}
    for step in steps.values():
        before = steps.get(step["trigger_after"], {"targets": []})
        if chat in step["outputs"] and any(event == "load" for _, event in before["targets"]):
            return before["id"], step["id"]
    raise AssertionError("nothing fills the chat in")


def is_tick(page: Page, url: str, name: str) -> Callable[[Response], bool]:
    """Whether a response is to the page's timer, and for the component of that name."""
    component, steps = components_of(page, url)[name], events_of(page, url)
    targets = [target for s in steps if component in s["outputs"] for target in s["targets"]]
    timers = {source for source, event in targets if event == "tick"}
    filling = {step["id"] for step in steps if component in step["outputs"]}

    def tells(response: Response) -> bool:
        if "/run/" not in response.url:
            return False
        body = response.request.post_data_json or {}
        return body.get("trigger_id") in timers and body.get("fn_index") in filling

    return tells


class Held:
    """Events of the page whose requests a test keeps back, until it lets them go."""

    def __init__(self, page: Page, steps: set[int], most: int | None = None) -> None:
        self._page, self._steps, self._most = page, steps, most
        self.routes: list[Route] = []
        page.route("**/run/**", self._keep_back)

    def _keep_back(self, route: Route) -> None:
        is_meant = (route.request.post_data_json or {}).get("fn_index") in self._steps
        if is_meant and (self._most is None or len(self.routes) < self._most):
            self.routes.append(route)
        else:
            route.continue_()

    def wait(self, count: int = 1) -> None:
        """Wait until so many requests are kept back."""
        while len(self.routes) < count:
            self._page.evaluate(FRAME)  # lets what came be told

    def go_on(self) -> None:
        """Let those go that are kept back."""
        for route in self.routes:
            route.continue_()
