import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from engine.config import COMPARED, EngineConfig
from engine.errors import MessageTooLong, ModelNotFound
from engine.model.assembly import compared_file
from export import ExportError
from export.progress import silent
from tests import ROOT
from tests.scripted import HOLD, Cost, Engines, Say, ScriptedEngine
from web import startup, terminal
from web.model_source import ModelChoice
from web.options import Options


@pytest.fixture
def engine(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    made = engines()
    monkeypatch.setattr(terminal, "build_engine", lambda _options, _progress: made)
    return made


def test_the_answer_goes_to_standard_output_and_its_figures_beside_it(
    engine: ScriptedEngine, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = Cost(reused=1834, prefilled=27, note="The context is full.")
    engine.script.write(cost, Say("You said: What is OpenVINO?"))
    assert terminal.ask(replace(options, ask="What is OpenVINO?", max_tokens=70)) == 0
    said = capsys.readouterr()
    assert said.out == "You said: What is OpenVINO?\n"
    assert "reused 1,834 (memory) · new 27" in said.err
    assert "The context is full." in said.err
    assert engine.script.requests[0].params.max_tokens == 70
    assert engine.status == "closed"


def test_raw_text_is_shown_with_its_continuation(
    engine: ScriptedEngine, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.script.write(Say(", there was"))
    assert terminal.ask(replace(options, ask="Once upon a time", raw=True)) == 0
    assert capsys.readouterr().out == "Once upon a time, there was\n"
    assert engine.script.requests[0].params.max_tokens == 512, "it does not end by itself"


def test_an_empty_question_gets_a_sentence(
    engine: ScriptedEngine, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    assert terminal.ask(replace(options, ask=" ")) == 1
    assert capsys.readouterr().err == "app.py: The message is empty; write something first.\n"


@pytest.mark.parametrize("failure", [ModelNotFound("No model."), ExportError("No model.")])
def test_a_model_that_cannot_be_had_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    options: Options,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
) -> None:
    def build(*_: object) -> None:
        raise failure

    monkeypatch.setattr(terminal, "build_engine", build)
    assert terminal.ask(replace(options, ask="Hello")) == 1
    assert capsys.readouterr().err == "app.py: No model.\n"


def test_neither_gradio_nor_transformers_is_loaded_for_a_question() -> None:
    script = "import sys, app, web.terminal; print({'gradio', 'transformers'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "set()\n"


def test_a_model_that_was_compared_for_a_page_is_not_compared_again_for_a_question(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[EngineConfig] = []

    def made(config: EngineConfig) -> Mock:
        configs.append(config)
        return Mock()

    monkeypatch.setattr(startup, "Engine", made)
    monkeypatch.setattr(startup, "ready_model", lambda *_: ModelChoice(tmp_path))
    for ask in (None, "Hello"):
        startup.build_engine(replace(options, ask=ask), silent)
    of_page, of_question = map(compared_file, configs)
    assert of_page == of_question == options.data_dir / COMPARED


def test_a_chat_goes_on_line_by_line_until_the_input_ends(
    engine: ScriptedEngine,
    options: Options,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello\n \n\nAnd now?\n"))
    assert terminal.chat(replace(options, chat=True)) == 0
    said = capsys.readouterr()
    assert said.out == "> You said: Hello\n> > > You said: And now?\n> \n"
    assert "scripted-model: Ctrl-C stops" in said.err
    assert "reused 0 · new 24" in said.err
    assert "reused 47 (memory) · new 21" in said.err
    assert engine.script.requests[1].keep is None
    assert engine.script.requests[0].params.temperature == options.sampling.temperature
    assert engine.status == "closed"


def test_ctrl_c_stops_an_answer_and_not_the_chat(
    engine: ScriptedEngine,
    options: Options,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = iter(["Hello", "And now?"])

    def typed(_prompt: str) -> str:
        if (line := next(lines, None)) is None:
            raise EOFError
        return line

    async def interrupted(stream: Any, _out: Any) -> int:
        await anext(stream)
        await stream.aclose()
        raise KeyboardInterrupt

    whole = terminal._tell
    monkeypatch.setattr("builtins.input", typed)

    def once(stream: Any, out: Any) -> Any:
        monkeypatch.setattr(terminal, "_tell", whole)
        return interrupted(stream, out)

    monkeypatch.setattr(terminal, "_tell", once)
    engine.script.write(Say("Once upon"), HOLD)
    assert terminal.chat(replace(options, chat=True)) == 0
    assert "You said: And now?" in capsys.readouterr().out


def test_a_message_that_is_refused_does_not_end_the_chat(
    engine: ScriptedEngine,
    options: Options,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello\nAgain\n"))
    engine.script.refusal = MessageTooLong("The message is too long.")
    assert terminal.chat(replace(options, chat=True)) == 0
    said = capsys.readouterr()
    assert "The message is too long." in said.err
    assert "You said: Again" in said.out
