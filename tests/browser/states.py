"""The states of the page that somebody looks at as a whole: with axe-core, for its words, or in pictures.

Each is reached from the one before it, in every language and at every width.
"""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from playwright.sync_api import Locator, Page, expect

from tests.browser.page import (
    answers,
    ask,
    box,
    finished,
    known,
    open_drawer,
    stop,
    unfold_settings,
)
from tests.scripted import HOLD, Say
from tests.scripted.app import ScriptedApp

NOTE = ("notes.md", "x² + 2x = 8")
QUESTION = "What are the roots of a quadratic? 求根公式怎么写？"
THOUGHTS = "They ask for the quadratic formula."
ANSWER = r"""For \(ax^2 + bx + c = 0\) the two roots are

\[ x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a} \]

| language | since | for |
|---|---|---|
| Python | 1991 | data, scripts, machine learning |
| C++ | 1985 | games, systems |

- [x] written
- [ ] tried

```python
@cache
def roots(a: float, b=0, c=None) -> tuple[float, ...]:
    d = b * b - 4 * a * c  # below zero there is none
    if d < 0:
        raise ValueError(f"no roots: {d!r}")
    return ((-b + d**0.5) / (2 * a), (-b - d**0.5) / (2 * a))
```
"""
BEGUN = "The first words of an answer"
NEXT = "And now?"
EDITED = "There are **two** roots, and"
NAME, PASSWORD = "nobody", "wrong"
COMPLETED = " Paris."
FOUND, NOT_FOUND = "roots", "nowhere"
# All that these states have typed and said, in whatever language.
SAID = (*NOTE, QUESTION, THOUGHTS, ANSWER, EDITED, BEGUN, NEXT, COMPLETED, FOUND, NOT_FOUND, NAME)

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}, "reduced_motion": "reduce"}
PHONE: dict[str, Any] = WIDE | {"viewport": {"width": 390, "height": 844}, "has_touch": True}
SIZES = {"wide": WIDE, "phone": PHONE}
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")

State = Callable[[Page, ScriptedApp], None]


def empty(page: Page, app: ScriptedApp) -> None:
    """Nothing is said yet, and the page knows its conversation and its model."""
    page.goto(app.url)
    known(page)
    expect(page.locator("#status .ready")).to_be_attached()


def shortcuts(page: Page, _app: ScriptedApp) -> None:
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog")).to_be_visible()


def lost(page: Page, _app: ScriptedApp) -> None:
    page.keyboard.press("Escape")
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible()


def answered(page: Page, app: ScriptedApp) -> None:
    """A file, thoughts, mathematics, a table, tasks and code; in its second version."""
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_have_count(0)
    expect(page.locator("body.knows")).to_be_attached()
    _attach(page, *NOTE)
    for _ in range(2):
        app.script.write(Say(f"<think>\n{THOUGHTS}\n</think>\n\n{ANSWER}"))
    ask(page, QUESTION)
    page.locator("#chat .tools .retry").click()
    expect(page.locator("#chat .versions")).to_contain_text("2/2")
    finished(page)
    page.locator("#chat .thought-group [role=button]").click()
    expect(page.get_by_text(THOUGHTS)).to_be_visible()


def correcting(page: Page, _app: ScriptedApp) -> None:
    """The text of an answer in its box."""
    page.locator("#chat .tools .edit").last.click()
    expect(page.locator("#chat .editor textarea")).to_be_focused()


def corrected(page: Page, _app: ScriptedApp) -> None:
    page.locator("#chat .editor textarea").fill(EDITED)
    page.locator("#chat .editor .save").click()
    expect(page.locator("#chat .editor")).to_have_count(0)


def streaming(page: Page, app: ScriptedApp) -> None:
    app.script.write(Say(BEGUN), HOLD)
    box(page).fill(NEXT)
    box(page).press("Enter")
    expect(answers(page).last).to_contain_text(BEGUN)


def settings(page: Page, _app: ScriptedApp) -> None:
    stop(page)
    finished(page, 2)
    open_drawer(page, "settings")


def advanced(page: Page, _app: ScriptedApp) -> None:
    """All settings."""
    unfold_settings(page)
    page.locator("#reset-settings").scroll_into_view_if_needed()


def engine(page: Page, _app: ScriptedApp) -> None:
    _close_drawer(page)
    open_drawer(page, "engine")
    expect(page.locator(".panel .scale")).to_be_visible()


def editing(page: Page, _app: ScriptedApp) -> None:
    _close_drawer(page)
    _question_buttons(page).last.click()
    expect(page.locator("#chat textarea")).to_be_visible()


def listed(page: Page, _app: ScriptedApp) -> None:
    """The list of conversations, which covers a narrow page, with the menu of a row."""
    _question_buttons(page).last.click()
    expect(page.locator("#chat textarea")).to_have_count(0)
    if _is_narrow(page):
        page.locator("#conversations .toggle-button").click()
        expect(page.locator("#conversations")).to_have_class(re.compile(r"\bopen\b"))
    page.locator(".shelf li").first.hover()
    page.locator(".shelf .more").first.click()
    expect(page.locator(".row-menu")).to_be_visible()


def searching(page: Page, _app: ScriptedApp) -> None:
    page.keyboard.press("Escape")
    search = page.locator("#search :is(input, textarea)")
    search.fill(NOT_FOUND)
    expect(page.locator(".shelf .none")).to_be_visible()
    search.fill(FOUND)
    expect(page.locator(".shelf li")).to_have_count(1)


def warned(page: Page, _app: ScriptedApp) -> None:
    """A conversation is to be saved that is gone."""
    page.evaluate(
        "id => dispatchEvent(new CustomEvent('warmchat-export', { detail: { form: 'json', id } }))",
        "0" * 32,
    )
    expect(page.get_by_test_id("toast-body")).to_be_visible()


def completion(page: Page, app: ScriptedApp) -> None:
    app.script.write(Say(COMPLETED))
    page.goto(f"{app.url}/completion")
    expect(page.locator("#prompt textarea")).not_to_have_value("")
    page.locator("#run").click()
    expect(page.locator("#figures .figures")).to_be_visible()
    expect(page.locator("#run")).to_be_enabled()


STATES: tuple[State, ...] = (
    empty, shortcuts, lost, answered, correcting, corrected, streaming, settings, advanced, engine, editing,
    listed, searching, warned, completion,
)  # fmt: skip


def sign_in(page: Page, closed: ScriptedApp) -> None:
    """closed: a server that asks for a password. A wrong one was given, or too many of them."""
    page.goto(closed.url)
    page.locator("input, textarea").first.fill(NAME)
    page.locator("input[type=password]").fill(PASSWORD)
    page.get_by_role("button").last.click()
    expect(page.locator(".creds, #sign-in-wait").first).to_be_visible()  # or to wait


def _attach(page: Page, name: str, text: str) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#attach [data-act=add]").click()
    with TemporaryDirectory() as folder:
        Path(folder, name).write_text(text, "utf-8")
        chooser.value.set_files(Path(folder, name))
        expect(page.locator("#attach .waiting li")).to_have_count(1)


def _close_drawer(page: Page) -> None:
    page.locator("#live .toggle-button").click()
    expect(page.locator("#live")).not_to_have_class(re.compile(r"\bopen\b"))


def _question_buttons(page: Page) -> Locator:
    """Below the last question: Copy and Edit, or Submit and Cancel."""
    return page.locator("#chat .message-buttons-right").last.locator("button")


def _is_narrow(page: Page) -> bool:
    size = page.viewport_size
    return size is not None and size["width"] <= 768
