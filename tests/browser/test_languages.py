"""No word of another language anywhere on the page, in each language and in every state."""

from collections.abc import Iterator

import pytest

from tests.browser import states
from tests.browser.conftest import Visitor
from tests.browser.strays import STRAYS, strays
from tests.scripted.app import ScriptedApp, serving
from web.languages.texts import ENGLISH, LANGUAGES


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    with serving(tmp_path_factory.mktemp("data"), can_think=True) as app:
        yield app


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_of_another_language_is_on_the_page(
    visitor: Visitor, app: ScriptedApp, language: str
) -> None:
    page = visitor(None, language, **states.WIDE)
    found = set()
    for state in states.STATES:
        state(page, app)
        found |= {f"{state.__name__}: {stray}" for stray in strays(page, language)}
    assert not found, "\n".join(sorted(found))


def test_what_is_looked_for_would_be_found() -> None:
    assert STRAYS["zh-CN"]("编辑 Textbox") == ["Textbox"]
    assert STRAYS["zh-CN"]("由 OpenVINO 在本机运行：Top-p 約") == ["約"]
    assert STRAYS["zh-TW"]("约 12 KiB") == ["约"]
    assert STRAYS[ENGLISH]("Edit 编辑") == ["编辑"]
