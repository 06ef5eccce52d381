"""The page of text completion: question answering with a model as it is, without a chat template.

Owns: the layout of that page, its events, and how the figures of a completion look. Does not know how
a completion runs (web.turns.completing).
"""

import html
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import gradio as gr

from engine import SamplingParams
from engine.errors import ConfigError
from web import crowd, view
from web.events import SETTLING_S, model_status
from web.languages import say, spoken, translated
from web.page import column, header
from web.page.kept_chat import QUIET
from web.page.words import words
from web.startup import Startup
from web.turns import Completions, Moment

ADDRESS = "completion"

_LONGEST = 2048
# The text outlives a reload, as one behind a lost connection.
_KEEP = "text => { sessionStorage.setItem('warmchat-text', text ?? ''); }"
_KEPT = "text => sessionStorage.getItem('warmchat-text') || text"


class CompletionPage:
    """The functions behind the events of the page."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self._completions = Completions(startup)

    async def complete(
        self,
        prompt: str | None,
        max_tokens: float,
        temperature: float,
        repetition_penalty: float,
        request: gr.Request,
    ) -> AsyncGenerator[tuple[str, str], None]:
        """Continue `prompt`; yields the text as far as it has come, and the line under it."""
        language = spoken(request.headers)
        if not prompt or not prompt.strip():
            yield "", _note(say(language, "completion_empty"))
            return
        try:
            params = SamplingParams(
                max_tokens=int(max_tokens),
                temperature=float(temperature),
                repetition_penalty=float(repetition_penalty),
            )
        except (ConfigError, TypeError, ValueError) as error:
            yield "", _note(say(language, "bad_setting", reason=translated(error, language)))
            return
        async with aclosing(
            self._completions.run(str(request.session_hash), prompt, params)
        ) as moments:
            async for moment in moments:
                yield moment.frame.text, self._line(moment, language)

    def stop(self, request: gr.Request) -> None:
        """Stop the page's completion; also when the page is closed."""
        self._completions.stop(str(request.session_hash))

    def load(self, prompt: str, request: gr.Request) -> tuple[str, str]:
        """The choice of language, and an example where nothing is written yet."""
        language = spoken(request.headers)
        return view.language_choice(request.headers), prompt or say(language, "completion_example")

    def status(self, request: gr.Request) -> tuple[str, Any]:
        """The header's status, and how soon to ask again."""
        return model_status(self._startup, request)

    def _line(self, moment: Moment, language: str) -> str:
        frame = moment.frame
        sentence = view.refusal(frame, language)
        if sentence is not None:
            return _note(sentence)
        if frame.finished is not None:
            return figures(moment, language)
        if frame.text:
            return ""
        return _note(view.progress(frame.progress, self._startup, language))


def figures(moment: Moment, language: str) -> str:
    """HTML of what a finished completion took: the five figures of the tutorial, and the prompt's."""
    finished = moment.frame.finished
    assert finished is not None
    cost, each = finished.figures, finished.figures.itl_s
    per_token = say(language, "milliseconds", value=f"{each * 1000:.1f}") if each else "–"
    rows = {
        "perf_prompt": f"{cost.reused_tokens + cost.prefilled_tokens:,}",
        "perf_generated": f"{cost.generated_tokens:,}",
        "perf_ttft": _seconds(cost.ttft_s, language),
        "perf_per_token": per_token,
        "perf_rate": f"{1 / each:.1f}" if each else "–",
        "perf_total": _seconds(moment.elapsed_s, language),
    }
    items = "".join(
        f"<div><dt>{html.escape(say(language, key))}</dt><dd>{value}</dd></div>"
        for key, value in rows.items()
    )
    sentences = filter(None, (*view.notes(finished, language), view.reason(finished, language)))
    return f'<dl class="figures">{items}</dl>' + "".join(_note(text) for text in sentences)


def _seconds(value: float | None, language: str) -> str:
    return "–" if value is None else say(language, "seconds", value=f"{value:.2f}")


def _note(sentence: str) -> str:
    return f'<p class="note" role="status">{html.escape(sentence)}</p>'


def link() -> gr.Button:
    """What leads to the page from the chat."""
    return gr.Button(words("completion"), link=ADDRESS, size="sm", elem_id="to-completion")


def build_completion(demo: gr.Blocks, startup: Startup) -> None:
    """Add the page to `demo`."""
    page = CompletionPage(startup)
    with demo.route("Completion", ADDRESS, show_in_navbar=False):
        status, language, timer = _header()
        with gr.Column(elem_id="completion-page"):
            gr.HTML(f"<h1>{words('completion')}</h1>", elem_id="heading", padding=False)
            gr.HTML(
                words("completion_intro"),
                js_on_load=column.names(),
                elem_classes="intro",
                padding=False,
            )
            prompt = gr.Textbox(
                label=words("completion_prompt"),
                info=words("completion_prompt_info"),
                lines=6,
                max_lines=16,
                autofocus=True,
                elem_id="prompt",
            )
            controls = _controls(startup.options.sampling)
            with gr.Row(elem_id="buttons"):
                run = gr.Button(words("completion_run"), variant="primary", elem_id="run")
                stop = gr.Button(words("completion_stop"), interactive=False, elem_id="stop")
            completion = gr.Textbox(
                label=words("completion_output"),
                lines=6,
                max_lines=24,
                interactive=False,
                buttons=["copy"],
                elem_id="completion",
            )
            line = gr.HTML(elem_id="figures", padding=False, apply_default_css=False)
        begin = [run.click, prompt.submit]
        places = crowd.for_turns(startup.options)
        asked, shown = [prompt, *controls], [completion, line]
        _connect(page.complete, begin, asked, shown, (run, stop), places=places)
        stop.click(page.stop, None, None, **QUIET)
        demo.load(page.load, prompt, [language, prompt], js=_KEPT, **QUIET)
        prompt.input(None, prompt, None, js=_KEEP, **QUIET)
        for trigger in (demo.load, timer.tick):
            trigger(page.status, None, [status, timer], **QUIET)
        demo.unload(page.stop)


def _header() -> tuple[gr.HTML, gr.HTML, gr.Timer]:
    with gr.Row(elem_id="header"):
        status, language = header.build(), header.language()
        gr.Button(words("completion_back"), link="./", size="sm", elem_id="to-chat", scale=0)
    return status, language, gr.Timer(SETTLING_S)


def _controls(params: SamplingParams) -> list[gr.Slider]:
    def named(key: str) -> dict[str, Any]:
        return {"label": words(key), "info": words(f"{key}_info")}

    with gr.Row(elem_id="sampling"):
        return [
            gr.Slider(
                1, _LONGEST, min(128, params.max_tokens), step=1, buttons=[], label=words("max_tokens")
            ),
            gr.Slider(0, 2, 0, step=0.05, buttons=[], **named("temperature")),
            gr.Slider(0.5, 2, 1, step=0.05, buttons=[], **named("repetition_penalty")),
        ]  # fmt: skip


def _connect(
    complete: Callable[..., Any],
    begin: list[Callable[..., Any]],
    inputs: list[Any],
    outputs: list[Any],
    buttons: tuple[gr.Button, gr.Button],
    *,
    places: dict[str, Any],
) -> None:
    """While it runs, Stop can be pressed and nothing else."""

    def running(is_running: bool) -> tuple[Any, Any]:
        return gr.Button(interactive=not is_running), gr.Button(interactive=is_running)

    shown = [*buttons]
    for trigger in begin:
        started = trigger(lambda: running(True), None, shown, trigger_mode="once", **QUIET)
        started.then(
            complete, inputs, outputs,
            show_progress="hidden", api_visibility="private", **places,
        ).then(lambda: running(False), None, shown, **QUIET)  # fmt: skip
