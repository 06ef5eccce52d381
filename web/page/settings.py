"""The settings of a conversation as controls of the page.

Owns: how they are laid out, and the events among them: presets, remembering, reset. What is possible
is web.page.preferences' business, what the presets are web.page.presets'. Does not know what they do to a turn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import gradio as gr

from engine import SamplingParams
from web.languages import spoken
from web.page import presets
from web.page.kept_chat import QUIET
from web.page.preferences import NAMES, STORAGE_KEY, Preferences, Values
from web.page.words import words

# As with the ids (web.identity), the secret hides nothing.
STORAGE_SECRET = "warmchat-settings-1"  # noqa: S105

_ABOUT_THE_ANSWER = ("max_tokens", "draft")
_TEMPERATURE, *_FINER = presets.SAMPLING_KEYS
_ADVANCED = (*_FINER, "seed", "stop")  # what few people set
_PROMPT_LINES = 3


class Settings:
    """The controls. Made before the chat, rendered where the chat wants them, connected at last."""

    def __init__(self, params: SamplingParams) -> None:
        self.preferences = Preferences(params)
        self._by_name = {name: self._control(name) for name in NAMES}
        self.stored = gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        self._prompt_preset = gr.Dropdown(
            _choices("prompt", presets.PROMPT_CHOICES), value=presets.NO_PROMPT,
            filterable=False, elem_id="prompt-preset", **_named("prompt_preset"),
        )  # fmt: skip
        self._sampling_preset = gr.Radio(
            _choices("sampling", list(self.preferences.sampling)), value=presets.BALANCED,
            elem_id="sampling-preset", **_named("sampling_preset"),
        )  # fmt: skip

    @property
    def controls(self) -> list[gr.components.Component]:
        """The controls, in the order in which `Chat.answer` takes their values."""
        return list(self._by_name.values())

    @property
    def draft_inputs(self) -> list[gr.components.Component]:
        """What `Composing.draft` wants to know: whether it is on, the system prompt, thinking."""
        return [self._by_name[name] for name in ("draft", "system_prompt", "thinking")]

    @property
    def thinking(self) -> gr.components.Component:
        """Hidden until the model is known to have a choice."""
        return self._by_name["thinking"]

    @property
    def max_tokens(self) -> gr.components.Component:
        """Ends at the model's context, once that is known."""
        return self._by_name["max_tokens"]

    def render(self) -> None:
        """Lay the controls out, all but the one for thinking, which stands at the box."""
        with gr.Column(elem_id="settings"):
            with _section(words("settings_prompt")):
                _render(self._prompt_preset, self._by_name["system_prompt"])
            with _section(words("settings_sampling")):
                _render(self._sampling_preset)
                self._render_grid(_TEMPERATURE)
            with _section(words("settings_answer")):
                self._render_grid(*_ABOUT_THE_ANSWER)
            with gr.Accordion(
                cast(str, words("settings_advanced")), open=False, elem_id="advanced"
            ):
                self._render_grid(*_ADVANCED)
            self._reset = gr.Button(
                words("reset"), size="sm", variant="secondary", elem_id="reset-settings"
            )

    def _render_grid(self, *names: str) -> None:
        with gr.Row(elem_classes="grid"):
            _render(*(self._by_name[name] for name in names))

    def connect(self, demo: gr.Blocks) -> Any:
        """Bind the events; returns the one that fills in what the browser remembers."""
        shown = [*self.controls, self._sampling_preset, self._prompt_preset]
        kept = [self.stored, self._sampling_preset, self._prompt_preset]
        restored = demo.load(self.restore, self.stored, shown, **QUIET)
        # Not change: it also comes when the page fills a control in. What is pasted or dropped makes
        # no input event. One event of all: what an older one keeps never comes after a newer one.
        texts = [control for control in self.controls if isinstance(control, gr.Textbox)]
        touched = [*(c.input for c in self.controls), *(text.blur for text in texts)]  # type: ignore[attr-defined]
        gr.on(touched, self.remember, self.controls, kept, trigger_mode="always_last", **QUIET)
        self._prompt_preset.input(
            self.take_prompt, [self._prompt_preset, self._by_name["system_prompt"]],
            self._by_name["system_prompt"], **QUIET,
        ).then(self.remember, self.controls, kept, **QUIET)  # fmt: skip
        sampled = [self._by_name[name] for name in presets.SAMPLING_KEYS]
        self._sampling_preset.input(
            self.take_sampling, self._sampling_preset, sampled, **QUIET
        ).then(self.remember, self.controls, kept, **QUIET)
        self._reset.click(self.reset, None, [*shown, self.stored], **QUIET)
        return restored

    def restore(self, stored: Any, request: gr.Request) -> list[Any]:
        """The values that this browser remembers, and the presets that they are."""
        values = self.preferences.restored(stored, spoken(request.headers))
        return [*values.values(), *self._presets(values)]

    def remember(self, *values: Any) -> tuple[Values, str | None, str]:
        """What the browser is to keep of the values, and the presets that they are."""
        named = dict(zip(NAMES, values, strict=True))
        return (self.preferences.remembered(named), *self._presets(named))

    def take_prompt(self, preset: str, text: str, request: gr.Request) -> str:
        """The system prompt of a preset."""
        if preset == presets.OWN_PROMPT:
            return text
        return presets.prompt_text(preset, spoken(request.headers))

    def take_sampling(self, preset: str) -> list[float]:
        """What the sampling preset sets."""
        return list(self.preferences.sampling[preset].values())

    def reset(self) -> list[Any]:
        """The server's defaults; the browser forgets the rest."""
        defaults = self.preferences.defaults
        return [*defaults.values(), *self._presets(defaults), {}]

    def _presets(self, values: Values) -> tuple[str | None, str]:
        sampling = presets.sampling_preset(values, self.preferences.sampling)
        return sampling, presets.prompt_preset(str(values["system_prompt"] or ""))

    def _control(self, name: str) -> gr.components.Component:
        value: Any = self.preferences.defaults[name]
        match name:
            case "system_prompt":
                return gr.Textbox(
                    value, lines=_PROMPT_LINES, max_lines=8, elem_id="system-prompt", **_named(name)
                )
            case "stop":
                return gr.Textbox(value, lines=1, max_lines=4, elem_id="stop", **_named(name))
            case "draft":
                return gr.Checkbox(value, **_named(name))
            case "thinking":
                return gr.Checkbox(
                    value, visible=False, container=False, elem_id="thinking", **_named("think")
                )
            case "seed":
                return gr.Number(value, precision=0, minimum=-1, **_named(name))
        span = self.preferences.ranges[name]
        return gr.Slider(
            span.lowest, span.highest, value, step=span.step, buttons=[], **_named(name)
        )


def _named(key: str) -> dict[str, Any]:
    return {"label": words(key), "info": words(f"{key}_info"), "render": False}


def _render(*components: gr.components.Component) -> None:
    for component in components:
        component.render()  # type: ignore[no-untyped-call]


def _choices(kind: str, names: Any) -> list[Any]:
    return [(words(f"{kind}_{name}"), name) for name in names]


@contextmanager
def _section(heading: Any) -> Iterator[None]:
    with gr.Group(elem_classes="section"):
        gr.HTML(heading, elem_classes="heading", padding=False)
        yield
