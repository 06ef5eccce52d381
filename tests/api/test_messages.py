"""POST /v1/messages: by Anthropic's own client, and the events as they are sent."""

import json
from typing import Any

import httpx
import pytest

from engine.errors import QueueFull
from engine.events import FinishReason
from tests.api.talking import wait_until_running
from tests.scripted import HOLD, Cost, End, Say
from tests.scripted.app import ScriptedApp

MESSAGES = "/v1/messages"


def body(*said: Any, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": m} if isinstance(m, str) else m for m in said]
    return {"model": "any", "max_tokens": 99, "messages": messages, **fields}


def events(http: httpx.Client, asked: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The names of a stream's events, and what each says."""
    found = []
    with http.stream("POST", MESSAGES, json={**asked, "stream": True}) as response:
        assert response.status_code == 200
        for part in response.read().decode().split("\n\n")[:-1]:
            name, data = part.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_reply_comes_in_blocks(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Cost(reused=7, prefilled=5), Say("<think>\nHm.\n</think>\n\nParis."))
    reply = http.post(MESSAGES, json=body("Hello")).json()
    assert (reply["type"], reply["role"], reply["model"]) == (
        "message", "assistant", "scripted-model",
    )  # fmt: skip
    assert reply["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Paris."},
    ]
    assert (reply["stop_reason"], reply["stop_sequence"]) == ("end_turn", None)
    assert reply["usage"] == {
        "input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 7,
        "output_tokens": 29,
    }  # fmt: skip


def test_the_events_of_a_stream_are_in_order(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Say("<think>Hm.</think>"), Say("Par"), Say("is."))
    found = events(http, body("Hello"))
    assert [name for name, _ in found] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert all(name == told["type"] for name, told in found)
    start = found[0][1]["message"]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert start["usage"]["input_tokens"] > 5
    assert [told["index"] for _, told in found if "index" in told] == [0, 0, 0, 1, 1, 1, 1]
    assert found[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    usage = found[-2][1]["usage"]
    assert (
        usage["input_tokens"] + usage["cache_read_input_tokens"] == start["usage"]["input_tokens"]
    )


def test_a_ping_comes_while_nothing_does(
    app: ScriptedApp, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.endpoints.messages.KEEP_ALIVE_S", 0.01)
    app.script.write(HOLD)
    asked = body("Hello", stream=True)
    with http.stream("POST", MESSAGES, json=asked) as response:
        lines = response.iter_lines()
        while next(lines) != "event: ping":
            pass
        wait_until_running(app)
        app.script.tell(End())
        assert "event: message_stop" in list(lines)


def test_the_words_of_a_request_reach_the_engine(app: ScriptedApp, http: httpx.Client) -> None:
    said = [
        "One",
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": ""},
                                          {"type": "text", "text": "Two"}]},
        {"role": "user", "content": [{"type": "text", "text": "Three", "cache_control": {}}]},
    ]  # fmt: skip
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cch=1;"},
        {"type": "text", "text": "Be brief."},
    ]
    fields = {"top_k": 5, "stop_sequences": ["\n"], "temperature": 0.5, "thinking": None}
    http.post(MESSAGES, json=body(*said, system=system, **fields)).raise_for_status()
    request = app.script.requests[-1]
    assert request.setting.system == "Be brief."
    assert [m.content for m in request.behind or ()] == ["One", "Two"]
    assert (request.params.top_k, request.params.stop, request.params.max_tokens) == (
        5,
        ("\n",),
        99,
    )


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "image cannot be read"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "tool_result"),
        ({"messages": [{"role": "user", "content": [{"type": []}]}]}, "with a type"),
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ],
)
def test_what_cannot_be_is_refused_in_anthropics_words(
    app: ScriptedApp, http: httpx.Client, fields: dict[str, Any], word: str
) -> None:
    response = http.post(MESSAGES, json=body("Hello") | fields)
    assert response.status_code == 400
    told = response.json()
    assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
    assert word in told["error"]["message"]


def test_a_reply_that_fails_ends_with_an_error(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Say("Par"), End(FinishReason.ERROR, "The model failed."))
    name, told = events(http, body("Hello"))[-1]
    assert (name, told["error"]) == (
        "error", {"type": "api_error", "message": "The model failed."},
    )  # fmt: skip


def test_anthropics_own_client_talks_on(app: ScriptedApp) -> None:
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(base_url=app.url, api_key="any", max_retries=0)
    said: list[dict[str, Any]] = [{"role": "user", "content": "Tell me of the lighthouse." * 4}]
    ask = {"model": "any", "max_tokens": 200, "messages": said, "system": "Be brief."}
    counted = client.messages.count_tokens(model="any", messages=said, system="Be brief.")
    first = client.messages.create(**ask)
    usage = first.usage
    assert usage.input_tokens + usage.cache_read_input_tokens == counted.input_tokens
    said += [{"role": "assistant", "content": first.content}, {"role": "user", "content": "Go on"}]
    with client.messages.stream(**ask) as stream:
        assert "".join(stream.text_stream) == "You said: Go on"
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.usage.cache_read_input_tokens > 100
    assert final.usage.input_tokens < 100
    app.script.refusal = QueueFull("Too many.")
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(**ask)
