"""The page that asks for a password: who can use it, and in which language."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser import states
from tests.browser.axe import findings
from tests.browser.conftest import Visitor
from tests.browser.strays import strays
from tests.scripted.app import ScriptedApp, serving
from web.languages.texts import LANGUAGES


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    """A server for Anna only."""
    with serving(tmp_path_factory.mktemp("closed"), "--auth", "anna:secret") as app:
        yield app


@pytest.mark.parametrize("theme", states.THEMES)
@pytest.mark.parametrize("size", states.SIZES)
def test_everybody_can_sign_in(
    visitor: Visitor, closed: ScriptedApp, size: str, theme: str
) -> None:
    page = visitor(**states.SIZES[size], color_scheme=theme)
    states.sign_in(page, closed)
    assert findings(page) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_signs_in_reads_one_language(
    visitor: Visitor, closed: ScriptedApp, language: str
) -> None:
    page = visitor(None, language)
    states.sign_in(page, closed)
    assert strays(page, language) == set()


def test_there_is_no_connection_to_lose_yet(visitor: Visitor, closed: ScriptedApp) -> None:
    page = visitor(closed.url)
    expect(page.locator("input[type=password]")).to_be_visible()
    page.context.set_offline(True)
    page.evaluate(
        "fetch('app_id').catch(() => 0)"
    )  # as long as it takes to find that nobody answers
    expect(page.locator("#connection")).to_have_count(0)
