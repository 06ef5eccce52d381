"""Settings and languages as a person changes them, and what the browser remembers of them."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.page import (
    Held,
    ask,
    box,
    components_of,
    events_of,
    finished,
    new_chat,
    number,
    open_drawer,
    remembered,
    set_number,
    unfold_settings,
    until,
)
from tests.scripted.app import ScriptedApp
from web.languages.texts import ENGLISH, EXAMPLES, LANGUAGES, TEXTS, say
from web.page.preferences import STORAGE_KEY

PENALTIES = ("Repetition", "Presence", "Frequency")
FRANCE, ITALY = "What is the capital of France?", "And of Italy?"
OTHERS = [language for language in LANGUAGES if language != ENGLISH]


def prompt(page: Page) -> Locator:
    return page.locator("#system-prompt textarea")


def stop_strings(page: Page) -> Locator:
    return page.locator("#stop textarea")


def preset(page: Page, name: str) -> Locator:
    return page.get_by_role("radio", name=name)


def prompt_preset(page: Page) -> Locator:
    return page.locator("#prompt-preset input")


def choose_preset(page: Page, name: str) -> None:
    with remembered(page):
        preset(page, name).check()


def choose_prompt(page: Page, name: str) -> None:
    prompt_preset(page).click()
    with remembered(page):
        page.get_by_role("option", name=name).click()


def write(page: Page, control: Locator, text: str) -> None:
    """Write into a text among the settings, and leave it; the browser keeps it."""
    with remembered(page):
        control.fill(text)
        control.blur()


def come_back(page: Page) -> None:
    page.reload()
    unfold_settings(page)


def test_a_sampling_preset_sets_the_sliders_and_a_slider_leaves_it(page: Page) -> None:
    unfold_settings(page)
    choose_preset(page, "Creative")
    expect(number(page, "Temperature")).to_have_value("0.9")
    expect(number(page, "Min-p")).to_have_value("0.08")
    expect(number(page, "Presence penalty")).to_have_value("0.3")
    set_number(page, "Temperature", "0.8")
    expect(page.locator("#sampling-preset input:checked")).to_have_count(0)
    choose_preset(page, "Precise")
    expect(number(page, "Temperature")).to_have_value("0")
    expect(number(page, "Min-p")).to_have_value("0")
    expect(preset(page, "Precise")).to_be_checked()


def test_what_few_people_set_is_folded_at_each_visit_and_unfolds_by_key(page: Page) -> None:
    rare = ["Top-p", "Top-k", "Min-p", "Seed", *(f"{n} penalty" for n in PENALTIES)]
    for _ in range(2):
        open_drawer(page, "settings")
        expect(number(page, "Temperature")).to_be_visible()
        expect(number(page, "Max tokens")).to_be_visible()
        for name in rare:
            expect(number(page, name)).to_be_hidden()
        expect(stop_strings(page)).to_be_hidden()
        fold = page.get_by_role("button", name="Advanced", exact=True)
        expect(fold).to_have_attribute("aria-expanded", "false")
        fold.press("Enter")
        expect(fold).to_have_attribute("aria-expanded", "true")
        for name in rare:
            expect(number(page, name)).to_be_visible()
        expect(stop_strings(page)).to_be_visible()
        page.reload()


def test_settings_are_remembered_and_reset(page: Page) -> None:
    unfold_settings(page)
    choose_preset(page, "Creative")
    set_number(page, "Max tokens", "2048")
    write(page, stop_strings(page), "END")
    with remembered(page):
        page.get_by_label("Read ahead").uncheck()
    choose_prompt(page, "Teacher")
    expect(prompt(page)).to_have_value(say("en", "prompt_teacher_text"))
    come_back(page)
    expect(preset(page, "Creative")).to_be_checked()
    expect(number(page, "Temperature")).to_have_value("0.9")
    expect(number(page, "Max tokens")).to_have_value("2048")
    expect(stop_strings(page)).to_have_value("END")
    expect(page.get_by_label("Read ahead")).not_to_be_checked()
    expect(prompt_preset(page)).to_have_value("Teacher")
    with remembered(page):
        page.get_by_role("button", name="Reset to the defaults").click()
    expect(preset(page, "Balanced")).to_be_checked()
    expect(number(page, "Temperature")).to_have_value("0.3")
    expect(prompt(page)).to_have_value("")
    come_back(page)
    expect(number(page, "Max tokens")).to_have_value("0")
    expect(stop_strings(page)).to_have_value("")
    expect(page.get_by_label("Read ahead")).to_be_checked()


def remembering_steps(page: Page, url: str) -> set[int]:
    """The events in which the browser is told what to keep of the settings."""
    parts = components_of(page, url)
    text, name = parts["system-prompt"], parts["prompt-preset"]
    steps = events_of(page, url)
    return {step["id"] for step in steps if text in step["inputs"] and name in step["outputs"]}


def test_what_is_set_last_is_kept_though_an_earlier_answer_comes_late(
    page: Page, app: ScriptedApp
) -> None:
    unfold_settings(page)
    page.evaluate(
        """key => {
            const set = Storage.prototype.setItem;
            window.timesKept = 0;
            Storage.prototype.setItem = function (name, value) {
                set.call(this, name, value);
                if (name === key) window.timesKept++;
            };
        }""",
        STORAGE_KEY,
    )
    held = Held(page, remembering_steps(page, app.url), most=1)
    number(page, "Max tokens").fill("7")
    held.wait()
    stop_strings(page).fill("END")
    box(page).fill(FRANCE)
    expect(page.locator("#draft .draft_ready")).to_be_visible()  # what asked earlier was answered
    held.go_on()
    until(page, "window.timesKept", 2)
    come_back(page)
    expect(number(page, "Max tokens")).to_have_value("7")
    expect(stop_strings(page)).to_have_value("END")


def test_garbage_in_the_browsers_store_is_ignored(visitor: Visitor, app: ScriptedApp) -> None:
    page = visitor()
    page.add_init_script(f"localStorage.setItem('{STORAGE_KEY}', 'garbage')")
    page.goto(app.url)
    unfold_settings(page)
    assert page.evaluate("key => localStorage.getItem(key)", STORAGE_KEY) == "garbage"
    expect(number(page, "Temperature")).to_have_value("0.3")
    ask(page, FRANCE)
    assert app.script.requests[-1].params.temperature == 0.3


def test_ones_own_prompt_is_named_and_reaches_the_model(page: Page, app: ScriptedApp) -> None:
    unfold_settings(page)
    write(page, prompt(page), "Answer with a fruit.")
    expect(prompt_preset(page)).to_have_value("My own words")
    ask(page, FRANCE)
    assert app.script.requests[-1].setting.system == "Answer with a fruit."
    new_chat(page)
    choose_prompt(page, "None")
    expect(prompt(page)).to_have_value("")
    ask(page, FRANCE)
    assert app.script.requests[-1].setting.system is None


def test_thinking_is_not_offered_by_a_model_that_has_no_choice(page: Page) -> None:
    expect(page.locator("#status .ready")).to_be_attached()
    unfold_settings(page)
    expect(page.get_by_label("Read ahead")).to_be_visible()
    expect(page.get_by_label("Think first")).to_have_count(0)


def speak(page: Page, language: str) -> None:
    """Choose a language, or with "" the browser's own, which is English."""
    page.locator("#language select").select_option(language)
    speaks(page, language or ENGLISH)


def speaks(page: Page, language: str) -> None:
    """Wait until all that comes when a page opens is there, in this language."""
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page.get_by_text(say(language, "welcome"))).to_be_visible()
    expect(page.locator("#chat .examples")).to_contain_text(say(language, EXAMPLES[0]))
    expect(page.get_by_placeholder(say(language, "message_hint"))).to_be_visible()
    expect(page.get_by_label(say(language, "attach"))).to_be_visible()
    expect(page.get_by_label(say(language, "language"), exact=True)).to_be_visible()
    expect(page.locator("#import")).to_have_text(say(language, "import"))
    expect(page.locator("#shelf")).to_contain_text(say(language, "no_conversations"))
    expect(page.locator("#status .ready")).to_be_attached()
    unfold_settings(page)
    expect(page.locator("#sampling-preset")).to_contain_text(say(language, "sampling_balanced"))


def texts_in(page: Page, language: str) -> list[str]:
    """The page's texts that exist in `language` alone."""
    others = {text for other in LANGUAGES if other != language for text in TEXTS[other].values()}
    shown = page.evaluate(
        """() => [document.body.innerText, ...[...document.querySelectorAll('*')].flatMap(
            e => ['placeholder', 'title', 'aria-label', 'value'].map(n => e.getAttribute(n)))]
            .filter(text => text).flatMap(text => text.split('\\n')).map(text => text.trim())"""
    )
    return sorted((set(TEXTS[language].values()) - others) & set(shown))


def test_after_a_switch_every_text_is_in_that_language(page: Page) -> None:
    """The prompt of a preset too."""
    unfold_settings(page)
    choose_prompt(page, "Teacher")
    assert len(texts_in(page, ENGLISH)) > 40
    for language in OTHERS:
        speak(page, language)
        assert texts_in(page, ENGLISH) == []
        expect(prompt(page)).to_have_value(say(language, "prompt_teacher_text"))
        expect(prompt_preset(page)).to_have_value(say(language, "prompt_teacher"))
    page.reload()
    speaks(page, OTHERS[-1])
    assert texts_in(page, ENGLISH) == []
    speak(page, "")
    assert [texts_in(page, language) for language in OTHERS] == [[]] * len(OTHERS)


def test_answers_and_written_words_survive_a_switch(page: Page) -> None:
    ask(page, FRANCE)
    box(page).fill(ITALY)
    page.locator("#language select").select_option("zh-CN")
    expect(page.locator("#chat .turn-line")).to_contain_text("新读")
    expect(box(page)).to_have_value(ITALY)
    box(page).press("Enter")
    assert re.search(r"沿用 \d\d+", finished(page, 2))


def test_an_answer_is_as_long_as_the_context_allows_unless_it_is_said_otherwise(
    page: Page, app: ScriptedApp
) -> None:
    ask(page, FRANCE)
    assert app.script.requests[-1].params.max_tokens > app.engine.info.context_length
    unfold_settings(page)
    slider = page.get_by_role("slider", name="Max tokens", exact=True)
    expect(slider).to_have_attribute("max", str(app.engine.info.context_length))
    set_number(page, "Max tokens", str(app.engine.info.context_length))
    ask(page, ITALY, 2)
    assert app.script.requests[-1].params.max_tokens == app.engine.info.context_length
