"""Settings and languages in Chromium: presets, what the browser remembers, switching by hand."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.web.browsing import MOST_TOKENS, App, eventually, finished, lines, send, settled
from web.languages.texts import ENGLISH, LANGUAGES, TEXTS, say

pytestmark = pytest.mark.browser
KEYS = list(TEXTS[ENGLISH])
OTHERS = [language for language in LANGUAGES if language != "en"]


def number(page: Page, label: str) -> Locator:
    return page.get_by_label(f"number input for {label}")


def unfold(page: Page) -> None:
    button = page.locator("#settings > button")
    expect(button).to_be_visible()
    if "open" not in (button.get_attribute("class") or ""):
        button.click()
    expect(page.locator("#system-prompt textarea")).to_be_visible()


def reload(page: Page) -> None:
    settled(page)
    page.reload()
    settled(page)
    unfold(page)


def prompt_tokens(answer: str) -> int:
    found = re.search(r"reused (\d+).* prefilled (\d+)", answer)
    assert found is not None
    return int(found[1]) + int(found[2])


def choose_prompt(page: Page, name: str) -> None:
    page.locator("#prompt-preset input").click()
    page.get_by_role("option", name=name).click()


def speak(page: Page, language: str) -> None:
    page.locator("#language select").select_option(language)
    if language:
        expect(page.locator("html")).to_have_attribute("lang", language)
    expected = say(language or "en", "welcome")
    expect(page.get_by_text(expected)).to_be_visible()
    expect(page.get_by_placeholder(say(language or "en", "message_hint"))).to_be_visible()


def test_a_sampling_preset_sets_the_sliders_and_a_slider_leaves_it(page: Page) -> None:
    unfold(page)
    page.get_by_role("radio", name="Creative").check()
    expect(number(page, "Temperature")).to_have_value("0.9")
    expect(number(page, "Min-p")).to_have_value("0.08")
    expect(number(page, "Presence penalty")).to_have_value("0.3")
    number(page, "Temperature").fill("0.8")
    number(page, "Temperature").press("Tab")
    expect(page.locator("#sampling-preset input:checked")).to_have_count(0)
    page.get_by_role("radio", name="Precise").check()
    expect(number(page, "Temperature")).to_have_value("0")
    expect(number(page, "Min-p")).to_have_value("0")


def test_settings_are_remembered_and_reset(page: Page) -> None:
    unfold(page)
    page.get_by_role("radio", name="Creative").check()
    page.locator("#stop textarea").fill("END")
    page.get_by_label("Read ahead").uncheck()
    choose_prompt(page, "Teacher")
    expect(page.locator("#system-prompt textarea")).to_have_value(say("en", "prompt_teacher_text"))
    reload(page)
    expect(page.get_by_role("radio", name="Creative")).to_be_checked()
    expect(number(page, "Temperature")).to_have_value("0.9")
    expect(number(page, "Max tokens")).to_have_value(MOST_TOKENS)
    expect(page.locator("#stop textarea")).to_have_value("END")
    expect(page.get_by_label("Read ahead")).not_to_be_checked()
    expect(page.locator("#prompt-preset input")).to_have_value("Teacher")
    page.get_by_role("button", name="Reset to the defaults").click()
    expect(page.get_by_role("radio", name="Balanced")).to_be_checked()
    expect(number(page, "Temperature")).to_have_value("0.3")
    expect(page.locator("#system-prompt textarea")).to_have_value("")
    reload(page)
    expect(number(page, "Max tokens")).to_have_value("512")
    expect(page.get_by_label("Read ahead")).to_be_checked()


def test_what_is_set_last_is_kept_though_an_earlier_answer_comes_late(page: Page, app: App) -> None:
    unfold(page)
    settled(page)
    held: list[Route] = []
    remembering = remembering_steps(page, app)

    def hold_the_first(route: Route) -> None:
        if not held and (route.request.post_data_json or {}).get("fn_index") in remembering:
            held.append(route)
        else:
            route.continue_()

    page.route("**/run/**", hold_the_first)
    number(page, "Max tokens").fill("7")
    number(page, "Max tokens").press("Tab")
    eventually(page, lambda: len(held), 1)
    page.locator("#stop textarea").fill("END")
    page.locator("#stop textarea").press("Tab")
    page.wait_for_timeout(500)
    held[0].continue_()
    reload(page)
    expect(number(page, "Max tokens")).to_have_value("7")
    expect(page.locator("#stop textarea")).to_have_value("END")


def remembering_steps(page: Page, app: App) -> set[int]:
    """The events in which the browser is told what to keep of the settings."""
    config = page.request.get(f"{app.url}/config").json()
    parts = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    return {
        step["id"]
        for step in config["dependencies"]
        if parts["system-prompt"] in step["inputs"] and parts["prompt-preset"] in step["outputs"]
    }


def test_garbage_in_the_browsers_store_is_ignored(page: Page) -> None:
    settled(page)
    page.evaluate("localStorage.setItem('warmchat-settings', 'garbage')")
    page.reload()
    unfold(page)
    expect(number(page, "Temperature")).to_have_value("0.3")
    send(page, "What is the capital of France?")
    finished(page, 1)


def test_ones_own_prompt_is_named_and_reaches_the_model(page: Page) -> None:
    unfold(page)
    prompt = page.locator("#system-prompt textarea")
    prompt.fill("Answer with a fruit. " * 20)
    prompt.blur()
    expect(page.locator("#prompt-preset input")).to_have_value("My own words")
    send(page, "What is the capital of France?")
    with_prompt = prompt_tokens(finished(page, 1))
    assert with_prompt > 100
    page.get_by_role("button", name="New chat").click()
    expect(lines(page)).to_have_count(0)
    choose_prompt(page, "None")
    expect(prompt).to_have_value("")
    send(page, "What is the capital of France?")
    assert prompt_tokens(finished(page, 1)) < with_prompt - 50


def test_thinking_is_not_offered_by_a_model_that_has_no_choice(page: Page) -> None:
    unfold(page)
    expect(page.get_by_label("Read ahead")).to_be_visible()
    expect(page.get_by_label("Think first")).to_have_count(0)


@pytest.mark.parametrize("language", OTHERS)
def test_after_a_switch_every_text_is_in_that_language(page: Page, language: str) -> None:
    speak(page, language)
    for _ in range(2):
        unfold(page)
        assert texts_in(page, "en") == [], "an English text is left"
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator("#sampling-preset")).to_contain_text(say(language, "sampling_balanced"))
        expect(page.locator("#chat .examples")).to_contain_text(say(language, "example_1"))
        reload(page)
    speak(page, "")
    assert texts_in(page, language) == []


def texts_in(page: Page, language: str) -> list[str]:
    """The page's texts that exist in `language` alone."""
    others = {TEXTS[other][key] for other in LANGUAGES if other != language for key in KEYS}
    shown = page.evaluate(
        """() => [document.body.innerText, ...[...document.querySelectorAll('*')].flatMap(
            e => ['placeholder', 'title', 'aria-label', 'value'].map(n => e.getAttribute(n)))]
            .filter(text => text).flatMap(text => text.split('\\n')).map(text => text.trim())"""
    )
    own = {TEXTS[language][key] for key in KEYS} - others
    return sorted(own & set(shown))


def test_answers_and_written_words_survive_a_switch(page: Page) -> None:
    send(page, "What is the capital of France?")
    assert "reused" in finished(page, 1)
    page.locator("#message textarea").fill("And of Italy?")
    page.locator("#language select").select_option("zh-CN")
    expect(page.locator("#chat .turn-line")).to_contain_text("预填充")
    expect(page.locator("#message textarea")).to_have_value("And of Italy?")
    page.locator("#message textarea").press("Enter")
    assert re.search(r"复用 \d\d+", finished(page, 2))


def test_a_preset_chosen_in_one_language_is_said_in_the_next(page: Page) -> None:
    unfold(page)
    choose_prompt(page, "Teacher")
    prompt = page.locator("#system-prompt textarea")
    expect(prompt).to_have_value(say("en", "prompt_teacher_text"))
    settled(page)
    speak(page, "zh-TW")
    unfold(page)
    expect(prompt).to_have_value(say("zh-TW", "prompt_teacher_text"))
    expect(page.locator("#prompt-preset input")).to_have_value(say("zh-TW", "prompt_teacher"))
