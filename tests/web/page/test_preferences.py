"""What the browser remembers of the settings, the presets, and the controls' own events."""

import inspect
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import SamplingParams
from web.events.chat import Chat
from web.languages.texts import LANGUAGES, say
from web.page import presets
from web.page.preferences import NAMES, Preferences
from web.page.settings import Settings

SERVER = SamplingParams(temperature=0.3, top_p=0.9, max_tokens=400)


@pytest.fixture
def preferences() -> Preferences:
    return Preferences(SERVER)


@pytest.fixture
def settings() -> Settings:
    with gr.Blocks():
        return Settings(SERVER)


def asked_in(language: str) -> gr.Request:
    return cast(gr.Request, SimpleNamespace(headers={"accept-language": language}))


def test_the_page_takes_the_settings_in_their_order() -> None:
    taken = list(inspect.signature(Chat.answer).parameters)
    first = taken.index("system_prompt")
    assert tuple(n.removeprefix("_") for n in taken[first : first + len(NAMES)]) == NAMES


def test_what_was_changed_comes_back(preferences: Preferences) -> None:
    changed = {"temperature": 1.2, "seed": 7, "stop": "END", "thinking": True, "draft": False}
    stored = preferences.remembered(preferences.defaults | changed)
    assert stored == changed
    assert preferences.restored(stored, "en") == preferences.defaults | changed


def test_a_new_default_reaches_who_never_changed_it(preferences: Preferences) -> None:
    stored = preferences.remembered(preferences.defaults | {"top_k": 5})
    later = Preferences(SamplingParams(temperature=1.0, max_tokens=99))
    restored = later.restored(stored, "en")
    assert (restored["top_k"], restored["temperature"], restored["max_tokens"]) == (5, 1.0, 99)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 2.01), ("temperature", -0.1), ("temperature", "1"), ("temperature", True),
        ("temperature", float("nan")), ("temperature", float("inf")), ("top_p", 0), ("top_k", 1.5),
        ("seed", -2), ("max_tokens", -1), ("max_tokens", 10**9), ("thinking", 1), ("draft", None),
        ("system_prompt", 3), ("system_prompt", "x" * 20_001), ("stop", ["a"]), ("stop", None),
    ],
)  # fmt: skip
def test_what_is_impossible_in_the_store_is_as_by_default(
    preferences: Preferences, name: str, value: Any
) -> None:
    assert preferences.restored({name: value, "top_k": 5}, "en") == preferences.defaults | {
        "top_k": 5
    }
    assert preferences.remembered(preferences.defaults | {name: value}) == {}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner),
)


@given(_JSON)
def test_garbage_in_the_store_gives_settings_that_a_turn_takes(stored: Any) -> None:
    values = Preferences(SERVER).restored(stored, "en")
    assert tuple(values) == NAMES
    SamplingParams(**cast(Any, {key: values[key] for key in presets.SAMPLING_KEYS}))


def test_each_sampling_preset_can_be_set_and_is_known_again(settings: Settings) -> None:
    preferences = settings.preferences
    assert list(preferences.sampling) == ["precise", "balanced", "creative"]
    for name in preferences.sampling:
        taken = dict(zip(presets.SAMPLING_KEYS, settings.take_sampling(name), strict=True))
        assert all(preferences.is_possible(key, value) for key, value in taken.items())
        values = preferences.defaults | taken
        assert presets.sampling_preset(values, preferences.sampling) == name
    assert settings.take_sampling("balanced")[:2] == [0.3, 0.9]


def test_moving_a_slider_leaves_the_preset(settings: Settings) -> None:
    values = settings.preferences.defaults | {"min_p": 0.5}
    assert settings.remember(*values.values()) == ({"min_p": 0.5}, None, "none")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("preset", presets.PROMPTS)
def test_a_prompt_preset_speaks_the_language_of_the_page(
    settings: Settings, preset: str, language: str
) -> None:
    text = settings.take_prompt(preset, "old", asked_in(language))
    assert text == say(language, f"prompt_{preset}_text")
    assert presets.prompt_preset(text) == preset
    for other in LANGUAGES:  # it was chosen in one language, and the page is now in another
        values = settings.preferences.restored({"system_prompt": text}, other)
        assert values["system_prompt"] == presets.prompt_text(preset, other)


def test_ones_own_prompt_stays_as_it_is(settings: Settings) -> None:
    own = "  Answer like a pirate. "
    assert presets.prompt_preset(own) == presets.OWN_PROMPT
    assert settings.preferences.restored({"system_prompt": own}, "zh-CN")["system_prompt"] == own
    assert settings.take_prompt(presets.OWN_PROMPT, own, asked_in("en")) == own
    assert settings.take_prompt(presets.NO_PROMPT, own, asked_in("en")) == ""


def test_a_page_opens_with_what_its_browser_remembers(settings: Settings) -> None:
    stored = {"system_prompt": say("en", "prompt_teacher_text"), "temperature": 0.0}
    shown = settings.restore(stored, asked_in("zh-TW"))
    assert dict(zip(NAMES, shown, strict=False))["temperature"] == 0.0
    assert shown[0] == say("zh-TW", "prompt_teacher_text")
    assert shown[len(NAMES) :] == [None, "teacher"]


def test_reset_goes_back_to_the_server_and_forgets(settings: Settings) -> None:
    *values, sampling, prompt, stored = settings.reset()
    assert values == list(settings.preferences.defaults.values())
    assert (sampling, prompt, stored) == ("balanced", "none", {})


def test_every_control_is_explained(settings: Settings) -> None:
    for control in [*settings.controls, settings._prompt_preset, settings._sampling_preset]:
        assert cast(Any, control).info, control


def test_thinking_is_off_and_hidden_at_first(settings: Settings) -> None:
    assert cast(Any, settings.thinking).value is False
    assert cast(Any, settings.thinking).visible is False
