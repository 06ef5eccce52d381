"""Programs chat by a conversation's id, over the scripted engine; the README's lines: tests/browser/test_real.py."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from engine.errors import QueueFull
from engine.events import FinishReason
from tests.scripted import HOLD, End, Say
from tests.scripted.app import ScriptedApp


@pytest.fixture
def client(app: ScriptedApp) -> Client:
    return Client(app.url, verbose=False)


def figures(client: Client, conversation: str) -> dict[str, Any]:
    return dict(client.predict(conversation, api_name="/figures"))


def test_a_conversation_goes_on_after_sleep_and_wake(app: ScriptedApp, client: Client) -> None:
    """As on a Space: an end, and a new start over the same folder."""
    conversation = client.predict(api_name="/new_conversation")
    assert figures(client, conversation) == {}
    client.predict("My cat is called Felix.", conversation, api_name="/chat")
    app.stop()
    app.start()
    client = Client(app.url, verbose=False)
    client.predict("What is my cat called?", conversation, api_name="/chat")
    assert len(app.engine.library.conversations(conversation.split(".")[0])) == 1
    assert figures(client, conversation)["generated_tokens"] > 0


def test_without_an_id_each_client_has_a_conversation_of_its_own(
    app: ScriptedApp, client: Client
) -> None:
    other = Client(app.url, verbose=False)
    for _ in range(2):
        client.predict("My name is Anna.", "", api_name="/chat")
    other.predict("Hello", "", api_name="/chat")
    assert figures(client, "")["reused_tokens"] > figures(other, "")["reused_tokens"] == 0


def test_an_answer_can_be_streamed_with_settings(app: ScriptedApp, client: Client) -> None:
    app.script.write(Say("Once"), HOLD)
    settings = {"max_tokens": 15, "temperature": 0, "system_prompt": "You are a storyteller."}
    job = client.submit("Tell me a story.", "", settings, api_name="/chat")
    pieces = []
    for piece in job:
        pieces.append(piece)
        if piece == "Once":
            app.script.tell(Say(" upon a time"))
    assert pieces[-1] == "Once upon a tim"
    assert all(later.startswith(earlier) for earlier, later in pairwise(pieces))
    assert figures(client, "")["generated_tokens"] == 15
    assert app.script.requests[-1].params.temperature == 0
    assert app.script.requests[-1].setting.system == "You are a storyteller."


def test_a_file_goes_with_a_message(app: ScriptedApp, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("The meeting is on Tuesday.")
    message = {"text": "When is it?", "files": [handle_file(str(file))]}
    client.predict(message, "", api_name="/chat")
    assert "The meeting is on Tuesday." in app.script.asked[-1]
    assert app.script.asked[-1].endswith("When is it?")


def test_a_full_queue_and_an_answer_that_fails_are_told(app: ScriptedApp, client: Client) -> None:
    app.script.refusal = QueueFull("Too many wait.")
    with pytest.raises(AppError, match="busy"):
        client.predict("Hi", api_name="/chat")
    app.script.write(End(FinishReason.ERROR, "The model failed."))
    with pytest.raises(AppError, match=re.escape("The model failed.")):
        client.predict("Hi", api_name="/chat")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Hi", "somebody.else"), "no such conversation of yours"),
        (("Hi", f"user:anna.{'x' * 32}"), "no such conversation of yours"),
        (("Hi", "", {"heat": 1}), "setting is not possible"),
        (("Hi", "", {"temperature": -1}), "setting is not possible"),
        (("Hi", "", {"stop": [1]}), "setting is not possible"),
        (("Hi", "", {"frequency_penalty": "x"}), "setting is not possible"),
        (("Hi", "", {"seed": 1.5}), "setting is not possible"),
        (("Hi", "", {"top_k": 2.5}), "setting is not possible"),
        (("Hi", "", {"system_prompt": 5}), "setting is not possible"),
        (("Hi", "", {"thinking": "x"}), "setting is not possible"),
        (("Hi", "", [1]), "settings must be an object"),
        (("Hi", "", "x"), "settings must be an object"),
        ((" ",), "empty"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    client: Client, arguments: tuple[Any, ...], sentence: str
) -> None:
    with pytest.raises(AppError, match=re.escape(sentence)):
        client.predict(*arguments, api_name="/chat")


def test_settings_are_taken_as_json_spells_them(app: ScriptedApp, client: Client) -> None:
    settings = {"top_k": 40.0, "seed": 7.0, "stop": "END", "temperature": 1}
    client.predict("Hi", "", settings, api_name="/chat")
    params = app.script.requests[-1].params
    assert (params.top_k, params.seed, params.stop) == (40, 7, ("END",))


def test_programs_can_call_nothing_else(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert set(api["named_endpoints"]) == {"/chat", "/new_conversation", "/figures"}
