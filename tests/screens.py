"""`python -m tests.screens FOLDER`: a picture of every screen, in each language, theme and width, to be looked at.

Over the scripted engine, so that each state of the page can be held. `make screens` puts them beside the project.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.page import (
    CHROMIUM,
    FLAGS,
    answers,
    ask,
    box,
    finished,
    known,
    open_drawer,
    stop,
)
from tests.scripted import HOLD, Say
from tests.scripted.app import ScriptedApp, serving
from web.languages.texts import LANGUAGES

WIDTHS = {"wide": (1280, 860), "phone": (390, 844)}
ANSWER = r"""For \(ax^2 + bx + c = 0\) the two roots are

\[ x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a} \]

| language | since | for |
|---|---|---|
| Python | 1991 | data, scripts, machine learning |
| C++ | 1985 | games, systems |

- [x] written
- [ ] tried

```python
def roots(a, b, c):
    d = b * b - 4 * a * c  # below zero there is none
    return ((-b + d**0.5) / (2 * a), (-b - d**0.5) / (2 * a))
```
"""


def empty(_page: Page, _app: ScriptedApp) -> None:
    """Nothing is said yet."""


def shortcuts(page: Page, _app: ScriptedApp) -> None:
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog")).to_be_visible()


def lost(page: Page, _app: ScriptedApp) -> None:
    page.keyboard.press("Escape")
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible()


def answered(page: Page, app: ScriptedApp) -> None:
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_have_count(0)
    expect(page.locator("body.knows")).to_be_attached()
    app.script.write(Say(ANSWER))
    ask(page, "What are the roots of a quadratic? 求根公式怎么写？")


def editing(page: Page, _app: ScriptedApp) -> None:
    page.locator("#chat .tools .edit").last.click()
    expect(page.locator("#chat .editor textarea")).to_be_focused()


def edited(page: Page, _app: ScriptedApp) -> None:
    page.locator("#chat .editor textarea").fill("There are **two** roots, and")
    page.locator("#chat .editor .save").click()
    expect(page.locator("#chat .editor")).to_have_count(0)


def streaming(page: Page, app: ScriptedApp) -> None:
    app.script.write(Say("The first words of an answer"), HOLD)
    box(page).fill("And now?")
    box(page).press("Enter")
    expect(answers(page).last).to_contain_text("The first words")


def settings(page: Page, _app: ScriptedApp) -> None:
    stop(page)
    finished(page, 2)
    open_drawer(page, "settings")


def engine(page: Page, _app: ScriptedApp) -> None:
    page.locator("#live .toggle-button").click()
    open_drawer(page, "engine")
    expect(page.locator(".panel svg rect").first).to_be_attached()


def completion(page: Page, app: ScriptedApp) -> None:
    page.goto(f"{app.url}/completion")
    expect(page.locator("#run")).to_be_visible()


STEPS: tuple[Callable[[Page, ScriptedApp], None], ...] = (
    empty, shortcuts, lost, answered, editing, edited, streaming, settings, engine, completion,
)  # fmt: skip


def _visit(browser: Browser, app: ScriptedApp, language: str, theme: str, folder: Path) -> None:
    for name, (width, height) in WIDTHS.items():
        options: dict[str, Any] = {"reduced_motion": "reduce", "has_touch": name == "phone"}
        viewport: Any = {"width": width, "height": height}
        context = browser.new_context(locale=language, viewport=viewport, **options)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(f"{app.url}/?__theme={theme}")
        known(page)
        expect(page.locator("#status .ready")).to_be_attached()
        for step in STEPS:
            step(page, app)
            page.screenshot(path=folder / f"{step.__name__}-{language}-{theme}-{name}.png")
        app.script.reset()
        context.close()


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.screens", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        serving(Path(data), can_think=True) as app,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        for language in LANGUAGES:
            for theme in ("light", "dark"):
                _visit(browser, app, language, theme, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
