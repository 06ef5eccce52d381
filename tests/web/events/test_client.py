"""Programs chat by a conversation's id: the lines of the README, against the real app."""

import re
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests import ROOT
from tests.web.browsing import App, start

README = ROOT / "README.md"


def lines_of_the_readme() -> str:
    section = README.read_text("utf-8").partition("## The chat from a program")[2]
    return section.partition("```python\n")[2].partition("```")[0]


def figures(client: Client, conversation: str) -> dict[str, Any]:
    return dict(client.predict(conversation, api_name="/figures"))


def test_the_five_lines_of_the_readme_chat_and_the_second_turn_reuses_the_first(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of_the_readme()
    assert len([line for line in lines.splitlines() if line]) == 5
    names: dict[str, Any] = {}
    exec(lines.replace("http://127.0.0.1:7860", app.url), names)
    said = capsys.readouterr().out
    assert "Paris" in said
    assert "Rome" in said
    cost = figures(names["client"], names["conversation"])
    assert cost["reused_tokens"] > 40
    assert cost["prefilled_tokens"] < 20
    assert cost["source"] == "memory"


def test_a_conversation_goes_on_after_sleep_and_wake(app: App, smollm2_dir: Path) -> None:
    """As on a Space: SIGTERM, and a new start over the same folder."""
    client = Client(app.url, verbose=False)
    conversation = client.predict(api_name="/new_conversation")
    fact = "My cat is called Felix. " + "Keep that in mind, whatever else I tell you. " * 20
    client.predict(fact, conversation, {"max_tokens": 20}, api_name="/chat")
    app.program.send_signal(signal.SIGTERM)
    assert app.program.wait(10) == 0
    assert app.health() == (0, {})
    app.program = start(smollm2_dir, app.data_dir, app.port).program
    app.wait_ready()
    client = Client(app.url, verbose=False)
    client.predict("What is my cat called?", conversation, {"temperature": 0}, api_name="/chat")
    cost = figures(client, conversation)
    assert cost["reused_tokens"] > 200
    assert cost["prefilled_tokens"] < 60
    assert cost["source"] in ("disk", "memory")


def test_without_an_id_each_client_has_a_conversation_of_its_own(app: App) -> None:
    one, other = Client(app.url, verbose=False), Client(app.url, verbose=False)
    short = {"max_tokens": 10}
    one.predict("My name is Anna.", "", short, api_name="/chat")
    one.predict("What is my name?", "", short, api_name="/chat")
    other.predict("Hello", "", short, api_name="/chat")
    assert figures(one, "")["reused_tokens"] > figures(other, "")["reused_tokens"]


def test_an_answer_can_be_streamed_with_settings(app: App) -> None:
    client = Client(app.url, verbose=False)
    settings = {"max_tokens": 60, "temperature": 0, "system_prompt": "You are a storyteller."}
    job = client.submit("Tell me a story.", "", settings, api_name="/chat")
    pieces = list(job)
    assert len(pieces) > 2
    assert all(later.startswith(earlier) for earlier, later in pairwise(pieces))
    assert figures(client, "")["generated_tokens"] == 60


def test_a_file_goes_with_a_message(app: App, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("The meeting is on Tuesday, in the green room. " * 10)
    client = Client(app.url, verbose=False)
    message = {"text": "When is it?", "files": [handle_file(str(file))]}
    client.predict(message, "", {"max_tokens": 5}, api_name="/chat")
    assert figures(client, "")["prefilled_tokens"] > 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Hi", "somebody.else"), "no such conversation of yours"),
        (("Hi", f"user:anna.{'x' * 32}"), "no such conversation of yours"),
        (("Hi", "", {"heat": 1}), "setting is not possible"),
        (("Hi", "", {"temperature": -1}), "setting is not possible"),
        ((" ",), "empty"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    app: App, arguments: tuple[Any, ...], sentence: str
) -> None:
    with pytest.raises(AppError, match=re.escape(sentence)):
        Client(app.url, verbose=False).predict(*arguments, api_name="/chat")


def test_programs_can_call_nothing_else(app: App) -> None:
    api = Client(app.url, verbose=False).view_api(return_format="dict", print_info=False)
    assert set(api["named_endpoints"]) == {"/chat", "/new_conversation", "/figures"}
