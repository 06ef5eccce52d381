"""POST /v1/chat/completions; the rules of streams that clients have stumbled over, each a test."""

import json
import re
import socket
import time
from typing import Any

import httpx
import pytest

from engine.errors import EngineFault, MessageTooLong, QueueFull
from engine.events import FinishReason
from tests.api.conftest import PATIENCE_S
from tests.api.talking import (
    CHAT,
    asked,
    assistant,
    chunks,
    say,
    streamed,
    system,
    text,
    user,
    wait_until_running,
)
from tests.scripted import HOLD, Cost, End, Say
from tests.scripted.app import ScriptedApp


def strictly(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "it", "schema": schema, "strict": True}}


def deltas(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in found if chunk["choices"]]


def test_a_reply_comes_in_one_piece(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Cost(reused=7, prefilled=5), Say("Paris."))
    reply = say(http, "What is the capital of France?")
    assert reply["object"] == "chat.completion"
    assert reply["id"].startswith("chatcmpl-")
    assert reply["model"] == "scripted-model"
    assert isinstance(reply["created"], int)
    (choice,) = reply["choices"]
    assert choice == {
        "index": 0, "message": {"role": "assistant", "content": "Paris."}, "logprobs": None,
        "finish_reason": "stop",
    }  # fmt: skip
    assert reply["usage"] == {
        "prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19,
        "prompt_tokens_details": {"cached_tokens": 7},
    }  # fmt: skip
    assert reply["warmchat"]["source"] == "memory"


def test_a_stream_begins_with_the_role_and_ends_with_the_reason(
    app: ScriptedApp, http: httpx.Client
) -> None:
    app.script.write(Say("Par"), Say("is."))
    found = streamed(http, "Hello")
    assert deltas(found) == [
        {"role": "assistant", "content": ""}, {"content": "Par"}, {"content": "is."}, {},
    ]  # fmt: skip
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, None, "stop"]
    assert {chunk["object"] for chunk in found} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in found}) == 1
    assert all("usage" not in chunk for chunk in found), "nobody has asked"


def test_usage_comes_when_asked_for_in_one_last_chunk_without_choices(
    app: ScriptedApp, http: httpx.Client
) -> None:
    *others, last = streamed(http, "Hello", stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert all(len(chunk["choices"]) == 1 and "usage" not in chunk for chunk in others)


def test_a_reply_that_is_cut_says_so(app: ScriptedApp, http: httpx.Client) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        app.script.write(Say("Paris, of course."))
        reply = say(http, "Hello", **{name: 5})
        assert (text(reply), reply["choices"][0]["finish_reason"]) == ("Paris", "length")
        assert reply["usage"]["completion_tokens"] == 5
    app.script.write(Say("Paris, of course."))
    assert streamed(http, "Hello", max_tokens=5)[-1]["choices"][0]["finish_reason"] == "length"
    app.script.write(Say("Paris, of course."))
    reply = say(http, "Hello", stop=[", "])
    assert (text(reply), reply["choices"][0]["finish_reason"]) == ("Paris", "stop")


@pytest.mark.parametrize(
    "pieces", [["<think>\nHm.\n</think>\n\nParis."], [*"<think>\nHm.\n</think>\n\nParis."]]
)
def test_thoughts_are_told_apart(app: ScriptedApp, http: httpx.Client, pieces: list[str]) -> None:
    app.script.write(*map(Say, pieces))
    message = say(http, "Hello")["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Paris.", "reasoning_content": "Hm."}
    app.script.write(*map(Say, pieces))
    told = deltas(streamed(http, "And now?"))
    assert "".join(delta.get("reasoning_content", "") for delta in told) == "Hm."
    assert "".join(delta.get("content", "") for delta in told) == "Paris."


def test_sampling_reaches_the_engine(app: ScriptedApp, http: httpx.Client) -> None:
    say(
        http, "Hello", temperature=0.5, top_p=0.8, top_k=7, min_p=0.1, presence_penalty=1,
        frequency_penalty=-1, repetition_penalty=1.1, seed=3, stop="\n\n", max_tokens=9,
        max_completion_tokens=8, store=True, metadata={"a": "b"}, user="ann", verbosity="low",
    )  # fmt: skip
    params = app.script.requests[-1].params
    assert (params.temperature, params.top_p, params.top_k, params.min_p) == (0.5, 0.8, 7, 0.1)
    assert (params.presence_penalty, params.frequency_penalty) == (1, -1)
    assert (params.repetition_penalty, params.seed, params.stop) == (1.1, 3, ("\n\n",))
    assert params.max_tokens == 8, "the newer name counts"
    nothing = dict.fromkeys(["temperature", "top_p", "seed", "stop", "max_tokens", "n", "stream"])
    say(http, "Hello", **nothing, top_k=-1, repeat_penalty=1.2)
    params = app.script.requests[-1].params
    default = app.options.sampling
    assert (params.temperature, params.max_tokens) == (default.temperature, default.max_tokens)
    assert (params.top_k, params.repetition_penalty, params.stop) == (0, 1.2, ())
    say(http, "Hello", seed=-1)
    assert app.script.requests[-1].params.seed is None


def test_system_and_developer_messages_are_one_system_prompt(
    app: ScriptedApp, http: httpx.Client
) -> None:
    developer = {"role": "developer", "content": [{"type": "text", "text": "Rhyme."}]}
    say(http, system("Be brief."), user("Hello"), assistant("Hi"), developer, user("Bye"))
    request = app.script.requests[-1]
    assert request.setting.system == "Be brief.\n\nRhyme."
    assert [m.role for m in request.behind or ()] == ["user", "assistant"]


def test_content_may_be_parts_or_null(app: ScriptedApp, http: httpx.Client) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "input_text", "text": "lo"}]
    say(http, user("One"), assistant(None), user(parts))
    assert app.script.asked[-1] == "Hello"
    assert (app.script.requests[-1].behind or ())[1].content == ""


def test_what_a_model_thinks_of_is_the_clients_choice(app: ScriptedApp, http: httpx.Client) -> None:
    say(http, "Hello", chat_template_kwargs={"enable_thinking": False}, reasoning_effort="low")
    assert app.script.options == {"enable_thinking": False, "reasoning_effort": "low"}


IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "Hello"}, "messages", "list"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "'user'"),
        ({"messages": [{"role": [], "content": "x"}]}, "messages[0].role", "'user'"),
        ({"messages": [user(IMAGE)]}, "messages[0].content", "image_url cannot be read"),
        ({"messages": [user([{"type": "input_audio"}])]}, "messages[0].content", "input_audio"),
        ({"messages": [user(7)]}, "messages[0].content", "text"),
        ({"messages": [user("a"), assistant("b")]}, "messages", "user's"),
        ({"messages": [system("a")]}, "messages", "user"),
        ({"messages": [user(" ")]}, "messages", "empty"),
        ({"messages": [{"role": "tool", "content": "7"}]}, "messages[0]", "tools"),
        ({"temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"max_tokens": 0}, "max_tokens", "at least 1"),
        ({"max_completion_tokens": -7}, "max_completion_tokens", "-1"),
        ({"stop": [""]}, "stop", "100 texts"),
        ({"stop": 7}, "stop", "list of texts"),
        ({"n": 2}, "n", "one reply"),
        ({"seed": 2**70}, "seed", "less than"),
        ({"logit_bias": {"7": 101}}, "logit_bias.7", "less than or equal to 100"),
        ({"logit_bias": {"the": 1}}, "logit_bias.the", "integer"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"response_format": {"type": "yaml"}}, "response_format", "json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.json_schema", "required"),
        ({"response_format": strictly({"type": "king"})}, "response_format", "king"),
        ({"response_format": strictly({"title": "x" * 2**18})}, "response_format", "characters"),
        ({"structured_outputs": {"regex": "(a"}}, "response_format", "regex"),
        ({"structured_outputs": {"choice": []}}, "structured_outputs.choice", "at least 1"),
        ({"tool_choice": "required"}, "tool_choice", "not called"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs", "messages"),
        ({"chat_template_kwargs": {"system": "a"}}, "chat_template_kwargs", "system"),
        ({"chat_template_kwargs": {"gather": 5}}, "chat_template_kwargs", "gather"),
        ({"stream_options": 7}, "stream_options", "StreamOptions"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_the_name_of_its_field(
    app: ScriptedApp, http: httpx.Client, fields: dict[str, Any], param: str, word: str
) -> None:
    response = http.post(CHAT, json=asked("Hello") | fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert word in error["message"]
    assert app.script.requests == [] or "empty" in word


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"messages": 7', b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused(
    app: ScriptedApp, http: httpx.Client, body: bytes
) -> None:
    response = http.post(CHAT, content=body)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]["message"]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999"])
def test_what_is_no_number_of_json_is_refused(http: httpx.Client, value: str) -> None:
    response = http.post(CHAT, content=b'{"metadata": %s}' % value.encode())
    assert (response.status_code, "JSON" in response.text) == (400, True)


def test_depth_has_a_limit(app: ScriptedApp, http: httpx.Client) -> None:
    body = b'{"messages": [{"role": "user", "content": "Hello"}], "metadata": %s}'
    response = http.post(CHAT, content=body % (b"[" * 100 + b"]" * 100))
    assert (response.status_code, "nested" in response.text) == (400, True)
    assert http.post(CHAT, content=body % (b"[" * 99 + b"]" * 99)).status_code == 200
    deep = {"user_id": "[" * 100_000}  # as Claude Code has JSON in it
    assert http.post(CHAT, json=asked("Hello", metadata=deep)).status_code == 200


def test_half_a_character_is_refused(app: ScriptedApp, http: httpx.Client) -> None:
    body = rb'{"messages": [{"role": "user", "content": "%s"}]}'
    response = http.post(CHAT, content=body % rb"\ud800")
    assert response.status_code == 400
    assert "half a character" in response.json()["error"]["message"]
    assert http.post(CHAT, content=body % rb"\ud83d\ude00").status_code == 200
    assert http.post(CHAT, content=body % b"\xed\xa0\x80").status_code == 400
    utf16 = (body % rb"\ud800").decode().encode("utf-16")
    assert http.post(CHAT, content=utf16).status_code == 400


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (QueueFull("Too many."), 429, "rate_limit_exceeded"),
        (MessageTooLong("Too long."), 400, "context_length_exceeded"),
        (EngineFault("Broken."), 500, "server_error"),
    ],
)
def test_what_the_engine_refuses_is_refused_before_the_response_begins(
    app: ScriptedApp, http: httpx.Client, refusal: Any, status: int, code: str, stream: bool
) -> None:
    app.script.refusal = refusal
    response = http.post(CHAT, json=asked("Hello", stream=stream))
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["message"] == str(refusal)
    assert ("retry-after" in response.headers) == (status == 429)


def test_a_reply_that_fails_is_an_error(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Say("Par"), End(FinishReason.ERROR, "The model failed."))
    response = http.post(CHAT, json=asked("Hello"))
    assert (response.status_code, response.json()["error"]["type"]) == (500, "server_error")
    app.script.write(Say("Par"), End(FinishReason.ERROR, "The model failed."))
    with http.stream("POST", CHAT, json=asked("Hello", stream=True)) as response:
        *_, last = chunks(response.iter_lines())
    assert last is not None
    assert last["error"]["message"] == "The model failed."


def test_something_comes_while_nothing_does(
    app: ScriptedApp, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.endpoints.chat.KEEP_ALIVE_S", 0.01)
    app.script.write(HOLD)
    with http.stream("POST", CHAT, json=asked("Hello", stream=True)) as response:
        told = chunks(response.iter_lines())
        first, beat = next(told), next(told)
        assert first is not None
        assert beat is not None
        assert beat["choices"] == [
            {"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}
        ]
        assert (beat["id"], beat["object"]) == (first["id"], "chat.completion.chunk")
        wait_until_running(app)
        app.script.tell(End())
        assert None in list(told)


def test_a_client_that_goes_ends_its_turn_in_mid_stream(app: ScriptedApp) -> None:
    app.script.write(Say("Once"), HOLD)
    with (
        httpx.Client(base_url=app.url, trust_env=False, timeout=PATIENCE_S) as client,
        client.stream("POST", CHAT, json=asked("Tell me a story.", stream=True)) as response,
    ):
        next(chunks(response.iter_lines()))
    _wait_until_cancelled(app)


def test_a_client_that_goes_ends_its_turn_while_nothing_is_sent(app: ScriptedApp) -> None:
    app.script.write(Say("Once"), HOLD)
    with socket.create_connection(("127.0.0.1", app.options.port), PATIENCE_S) as connection:
        body = json.dumps(asked("Tell me a story.")).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_until_running(app)
    _wait_until_cancelled(app)


def _wait_until_cancelled(app: ScriptedApp) -> None:
    while app.engine.stats().running:
        time.sleep(0.001)
    assert app.script.requests[-1].cancelled


def test_every_response_has_the_requests_id(app: ScriptedApp, http: httpx.Client) -> None:
    response = http.post(CHAT, json=asked("Hello"), headers={"x-request-id": "mine-7"})
    assert response.headers["x-request-id"] == "mine-7"
    for bad in ("", "a b", "x" * 200):
        response = http.post(CHAT, json=asked("Hello", n=3), headers={"x-request-id": bad})
        assert re.fullmatch(r"req_[0-9a-f]{24}", response.headers["x-request-id"])


def test_the_model_may_be_called_anything(app: ScriptedApp, http: httpx.Client) -> None:
    assert say(http, "Hello", model="gpt-4o")["model"] == "scripted-model"
    body = asked("Hello")
    del body["model"]
    assert http.post(CHAT, json=body).status_code == 200
