"""POST /v1/responses: by OpenAI's own client, over restarts, and the events as they are sent."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import talks
from engine.conversations import StoreError
from engine.events import FinishReason
from tests.scripted import End, Say
from tests.scripted.app import ScriptedApp, serving

openai = pytest.importorskip("openai")

RESPONSES = "/v1/responses"
LONG = "Tell me of the lighthouse. " * 10


def client_of(app: ScriptedApp) -> Any:
    return openai.OpenAI(base_url=f"{app.url}/v1", api_key="any", max_retries=0)


def events(http: httpx.Client, **fields: Any) -> list[dict[str, Any]]:
    with http.stream("POST", RESPONSES, json={"stream": True, **fields}) as response:
        assert response.status_code == 200
        parts = response.read().decode().split("\n\n")[:-1]
    found = [json.loads(part.partition("data: ")[2]) for part in parts]
    assert all(
        part.startswith(f"event: {told['type']}\n") for part, told in zip(parts, found, strict=True)
    )
    return found


def test_a_response_names_what_the_next_one_goes_on_from(app: ScriptedApp) -> None:
    client = client_of(app)
    first = client.responses.create(model="any", input=LONG, instructions="Be brief.")
    assert first.output_text == f"You said: {LONG}"
    second = client.responses.create(
        model="any", input="Go on", instructions="Be brief.", previous_response_id=first.id
    )
    assert second.output_text == "You said: Go on"
    assert second.usage.input_tokens_details.cached_tokens > len(LONG)
    assert second.usage.input_tokens - second.usage.input_tokens_details.cached_tokens < 100
    other = client.responses.create(
        model="any", input="Otherwise", instructions="Be brief.", previous_response_id=first.id
    )
    assert other.usage.input_tokens_details.cached_tokens > len(LONG)
    third = client.responses.create(
        model="any", input="And on", instructions="Be brief.", previous_response_id=second.id
    )
    asked = [m.content for m in app.script.requests[-1].behind or ()]
    assert asked == [LONG, first.output_text, "Go on", second.output_text]
    assert third.status == "completed"


def test_a_response_is_there_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as app:
        said = [{"role": "developer", "content": "Rhyme."}, {"role": "user", "content": LONG}]
        app.script.write(Say("<think>Hm.</think>Once."))
        first = client_of(app).responses.create(model="any", input=said)
    with serving(tmp_path) as app:
        client = client_of(app)
        again = client.responses.retrieve(first.id)
        assert (again.output_text, again.usage) == (first.output_text, first.usage)
        assert [item.type for item in again.output] == ["reasoning", "message"]
        second = client.responses.create(model="any", input="More", previous_response_id=first.id)
        assert app.script.requests[-1].setting.system == "Rhyme."
        assert second.usage.input_tokens_details.cached_tokens > len(LONG)


def test_the_events_of_a_stream_are_in_order(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Say("<think>Hm.</think>"), Say("Par"), Say("is."))
    found = events(http, input="Hello")
    assert [told["type"].removeprefix("response.") for told in found] == [
        "created", "in_progress",
        "output_item.added", "reasoning_text.delta", "reasoning_text.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [told["sequence_number"] for told in found] == [*range(len(found))]
    response = found[-1]["response"]
    assert found[0]["response"]["id"] == response["id"]
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert response["output"][1]["content"][0]["text"] == "Paris."
    assert {told["output_index"] for told in found if "output_text" in told["type"]} == {1}
    assert response["output"][1] == found[-2]["item"]


def test_openais_own_client_puts_a_stream_together(app: ScriptedApp) -> None:
    with client_of(app).responses.stream(model="any", input="Hello") as stream:
        final = stream.get_final_response()
    assert final.output_text == "You said: Hello"
    app.script.write(Say("Paris, of course."))
    cut = client_of(app).responses.create(model="any", input="Hello", max_output_tokens=5)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_response_that_fails_says_so(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Say("Par"), End(FinishReason.ERROR, "The model failed."))
    last = events(http, input="Hello")[-1]
    assert (last["type"], last["response"]["error"]["message"]) == (
        "response.failed", "The model failed.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "function_call_output", "output": "7"}]}, "input"),
        ({"input": [{"role": "king", "content": "x"}]}, "input"),
        ({"input": [{"role": [], "content": "x"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input"),
        ({"input": "x", "background": True}, "background"),
        ({"input": "x", "text": {"format": {"type": "json_object"}}}, "text"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
    ],
)
def test_what_cannot_be_is_refused(
    app: ScriptedApp, http: httpx.Client, fields: dict[str, Any], param: str
) -> None:
    response = http.post(RESPONSES, json=fields)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("name", ["resp_1", "resp_" + "x" * 32 + "1", "x", "resp_" + "é" * 32])
def test_a_response_that_is_not_there_is_not_found(
    app: ScriptedApp, http: httpx.Client, name: str
) -> None:
    response = http.post(RESPONSES, json={"input": "x", "previous_response_id": name})
    assert (response.status_code, response.json()["error"]["code"]) == (
        404, "previous_response_not_found",
    )  # fmt: skip
    assert http.get(f"{RESPONSES}/{name}").status_code == 404


def test_what_is_not_to_be_stored_is_on_no_disk_and_still_found(tmp_path: Path) -> None:
    with serving(tmp_path) as app:
        client = client_of(app)
        said: list[Any] = [{"role": "user", "content": LONG}]
        for question in ("One", "Two"):
            reply = client.responses.create(model="any", input=said, store=False)
            said += [{"role": "assistant", "content": reply.output_text}]
            said += [{"role": "user", "content": question}]
        assert reply.usage.input_tokens_details.cached_tokens > len(LONG)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(reply.id)
        client.responses.create(model="any", input="This is to be stored")
    on_disk = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"to be stored" in on_disk
    assert b"lighthouse" not in on_disk


def test_where_the_store_fails_a_client_is_told_to_try_again(
    app: ScriptedApp, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise StoreError("The disk does not answer.")

    monkeypatch.setattr(app.engine, "open_session", refuse)
    response = http.get(f"{RESPONSES}/resp_{'x' * 32}1")
    assert (response.status_code, response.json()["error"]["message"]) == (
        503, "The disk does not answer.",
    )  # fmt: skip


def test_what_is_looked_up_does_not_stay_in_memory(
    app: ScriptedApp, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talks, "MOST_OPEN", 2)
    names = [http.post(RESPONSES, json={"input": f"Chat {i}"}).json()["id"] for i in range(4)]
    for name in names:
        assert http.get(f"{RESPONSES}/{name}").status_code == 200
    assert app.engine.stats().sessions == 2
