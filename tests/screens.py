"""`python -m tests.screens FOLDER`: a picture of every screen, in each language, theme and width, to be looked at.

Over the scripted engine, so that each state of the page (tests/browser/states.py) can be held. `make screens` puts them beside the project.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from tests.browser import states
from tests.browser.page import CHROMIUM, FLAGS
from tests.scripted.app import ScriptedApp, serving
from web.languages.texts import LANGUAGES


class Visit:
    """Somebody with this language, theme and size; the pictures go into `folder`."""

    def __init__(self, browser: Browser, folder: Path, kind: tuple[str, states.Theme, str]) -> None:
        language, theme, size = kind
        self._context = browser.new_context(
            locale=language, color_scheme=theme, **states.SIZES[size]
        )
        self._context.set_default_timeout(60_000)
        self._page = self._context.new_page()
        self._path = folder / "-".join(kind)

    def take(self, app: ScriptedApp, *shown: states.State) -> None:
        """A picture of each state."""
        for state in shown:
            state(self._page, app)
            name = f"{state.__name__}-{self._path.name}.png"
            self._page.screenshot(path=self._path.with_name(name))
        app.script.reset()
        self._context.close()


@contextmanager
def _serving(*options: str) -> Iterator[ScriptedApp]:
    with TemporaryDirectory() as data, serving(Path(data), *options, can_think=True) as app:
        yield app


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.screens", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    kinds = list(product(LANGUAGES, states.THEMES, states.SIZES))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        with _serving() as app:
            for kind in kinds:
                Visit(browser, folder, kind).take(app, *states.STATES)
        with _serving("--auth", "anna:secret") as closed:
            for kind in kinds:
                Visit(browser, folder, kind).take(closed, states.sign_in)
    return 0


if __name__ == "__main__":
    sys.exit(main())
