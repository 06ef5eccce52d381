"""A list of messages finds its conversation: only what is new is prefilled."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import talks
from tests.api.conftest import PATIENCE_S
from tests.api.talking import CHAT, asked, assistant, say, system, text, user, wait_until_running
from tests.scripted import Say
from tests.scripted.app import ScriptedApp, serving

LONG = "It was a dark and stormy night, and the captain said: tell us a story. " * 4


class Chat:
    """A client that keeps what was said, and sends all of it every time."""

    def __init__(self, http: httpx.Client, *said: Any, **fields: Any) -> None:
        self.http = http
        self.said: list[Any] = [*said]
        self.fields = fields
        self.reply: dict[str, Any] = {}

    def say(self, message: str, **fields: Any) -> str:
        self.said.append(user(message))
        self.reply = say(self.http, *self.said, **self.fields, **fields)
        self.said.append(assistant(text(self.reply)))
        return text(self.reply)

    @property
    def computed(self) -> int:
        """Tokens that were prefilled; the model's are bytes."""
        usage = self.reply["usage"]
        return int(usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"])

    @property
    def source(self) -> str:
        return str(self.reply["warmchat"]["source"])


def is_only_new(chat: Chat, message: str) -> bool:
    """Scaffolding aside."""
    return chat.computed < len(message) + 100


def conversations(app: ScriptedApp) -> int:
    return app.engine.stats().sessions


def test_ten_turns_read_nothing_twice(app: ScriptedApp, http: httpx.Client) -> None:
    chat = Chat(http, system("Be brief."))
    for i in range(10):
        message = f"{i}: {LONG}"
        chat.say(message)
        assert is_only_new(chat, message), i


def test_thoughts_that_the_client_left_out_are_no_obstacle(
    app: ScriptedApp, http: httpx.Client
) -> None:
    chat = Chat(http)
    chat.say(LONG)
    before = conversations(app)
    for i in range(3):
        app.script.write(Say(f"<think>\n{LONG}\n</think>\n\nAnswer {i} "))
        chat.say(f"Question {i}")
        assert chat.computed < len(LONG)
    assert conversations(app) == before


def test_an_edit_and_a_retry_are_branches(app: ScriptedApp, http: httpx.Client) -> None:
    chat = Chat(http)
    for message in (LONG, "Second", "Third"):
        chat.say(message)
    before = conversations(app)
    retried = Chat(http, *chat.said[:-2])
    app.script.write(Say("Another answer"))
    retried.say("Third")
    assert retried.computed < 100
    edited = Chat(http, *chat.said[:2])
    edited.say("Instead of the second")
    assert is_only_new(edited, "Instead of the second")
    rewritten = Chat(http, chat.said[0], assistant("What the client would rather have heard"))
    rewritten.say("And then?")
    assert rewritten.computed < 200
    for each in (chat, retried, edited, rewritten):
        each.say("Go on")
        assert each.computed < 100
    assert conversations(app) == before


def test_several_go_on_at_once_from_the_same_beginning(
    app: ScriptedApp, http: httpx.Client
) -> None:
    chat = Chat(http)
    chat.say(LONG)
    app.script.holds = True
    helpers = [Chat(http, *chat.said) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        coming = [pool.submit(h.say, f"Helper {i}") for i, h in enumerate(helpers)]
        wait_until_running(app, 3)
        app.script.reset()
        assert {c.result(PATIENCE_S) for c in coming} == {f"You said: Helper {i}" for i in range(3)}
    assert all(helper.computed < 100 for helper in helpers)
    for i, helper in enumerate(helpers):
        assert helper.say("Go on") == "You said: Go on"
        assert helper.computed < 100, i


def test_a_request_for_a_title_leaves_its_chat_alone(app: ScriptedApp, http: httpx.Client) -> None:
    chat = Chat(http, prompt_cache_key="chat-title")
    chat.say(LONG)
    chat.say("Second")
    title = Chat(http, prompt_cache_key="chat-title")
    title.say(f"Give this chat a title: {chat.said}")
    chat.say("Third")
    assert chat.computed < 100
    title.say("Another one")
    assert title.computed < 100


def test_chats_that_begin_alike_are_two(app: ScriptedApp, http: httpx.Client) -> None:
    before = conversations(app)
    chats = [Chat(http, session_id=name) for name in ("one", "two")]
    for chat in chats:
        chat.say("The same words in both")
    assert conversations(app) == before + 2
    for chat in chats:
        chat.say("Go on")
        assert chat.computed < 100


def test_a_system_prompt_that_changes_finds_its_chat_by_its_name(
    app: ScriptedApp, http: httpx.Client
) -> None:
    headers = {"X-OpenWebUI-Chat-Id": "a chat of 12:07"}
    said: list[Any] = [user(LONG)]
    for minute in range(3):
        body = asked(system(f"It is 12:0{minute}."), *said)
        response = http.post(CHAT, json=body, headers=headers)
        said += [assistant(text(response.json())), user(f"Question {minute}")]
    (found,) = app.engine.trails.of_hint("api:", "a chat of 12:07")
    assert len(app.engine.messages(found)) == 6


def test_a_line_that_is_new_every_time_is_no_part_of_a_system_prompt(
    app: ScriptedApp, http: httpx.Client
) -> None:
    for i in range(2):
        billing = f"x-anthropic-billing-header: cc_version=2; cch={i};\nBe brief."
        chat = Chat(http, system(billing))
        chat.say(LONG)
        assert app.script.requests[-1].setting.system == "Be brief."
    assert chat.computed < 100


@pytest.fixture
def restarted(tmp_path: Path) -> Iterator[Callable[[], httpx.Client]]:
    """A client of the server, which is started, or started again."""
    runs: list[Any] = []

    def end() -> None:
        for each in reversed(runs):
            each.__exit__(None, None, None)
        runs.clear()

    def start() -> httpx.Client:
        end()
        served = serving(tmp_path)
        app = served.__enter__()
        runs.append(served)
        client = httpx.Client(base_url=app.url, timeout=PATIENCE_S, trust_env=False)
        runs.append(client)
        return client.__enter__()

    yield start
    end()


def test_after_a_restart_nothing_is_read_twice(restarted: Callable[[], httpx.Client]) -> None:
    chat = Chat(restarted(), system("Be brief."))
    chat.say(LONG)
    chat.say("Second")
    for i in range(2):
        chat.http = restarted()
        chat.say(f"After restart {i}")
        assert chat.computed < 100
        assert chat.source == "disk"
    edited = Chat(restarted(), *chat.said[:3])
    edited.say("Instead of the second")
    assert edited.computed < 100


def test_what_is_silent_for_long_leaves_memory_and_is_found_again(
    app: ScriptedApp, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = Chat(http)
    chat.say("The first of several chats")
    monkeypatch.setattr(talks, "MOST_OPEN", 2)
    for i in range(3):
        Chat(http).say(f"Another chat {i}")
    assert conversations(app) == 2
    chat.say("Go on")
    assert "".join(m.content for m in app.script.requests[-1].behind or ()).startswith("The first")


def test_what_is_refused_pushes_nobody_out_of_memory(
    app: ScriptedApp, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = Chat(http)
    chat.say(LONG)
    before = conversations(app)
    monkeypatch.setattr(talks, "MOST_OPEN", 2)
    for i in range(3):
        body = asked(user(f"Chat {i}"), assistant("Yes"), user(" "))
        assert http.post(CHAT, json=body).status_code == 400
    assert conversations(app) == before
    chat.say("Go on")
    assert chat.source == "memory"
