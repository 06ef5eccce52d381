"""Models, tokens, probes and plain completions."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.errors import EngineClosed
from tests.api.talking import CHAT, asked, chunks
from tests.scripted import Say
from tests.scripted.app import ScriptedApp, serving

COMPLETIONS = "/v1/completions"


def test_there_is_one_model(app: ScriptedApp, http: httpx.Client) -> None:
    listed = http.get("/v1/models").json()
    (model,) = listed["data"]
    assert listed["object"] == "list"
    assert (model["id"], model["object"], model["max_model_len"]) == (
        "scripted-model", "model", 8192,
    )  # fmt: skip
    assert http.get("/v1/models/scripted-model").json() == model
    response = http.get("/v1/models/owner/other")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


def test_text_and_tokens_become_each_other(app: ScriptedApp, http: httpx.Client) -> None:
    told = http.post("/tokenize", json={"content": "Hé"}).json()
    assert (told["tokens"], told["count"]) == ([*"Hé".encode()], 3)
    assert http.post("/tokenize", json={"prompt": "Hé"}).json() == told
    assert http.post("/detokenize", json={"tokens": told["tokens"]}).json()["content"] == "Hé"
    for path, body, param in (
        ("/tokenize", {}, "content"),
        ("/detokenize", {"tokens": ["a"]}, "tokens[0]"),
        ("/detokenize", {"tokens": [10**9]}, "tokens"),
    ):
        response = http.post(path, json=body)
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_a_text_goes_on(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Say(" <think> and so on, for long"))
    reply = http.post(COMPLETIONS, json={"prompt": "Once"}).json()
    assert reply["object"] == "text_completion"
    (choice,) = reply["choices"]
    assert (choice["text"], choice["finish_reason"]) == (" <think> and so ", "length")
    assert reply["usage"]["completion_tokens"] == 16, "as many as OpenAI has it"
    request = app.script.requests[-1]
    assert (request.session_id, request.message) == (None, "Once")


@pytest.mark.parametrize("prompt", ["Once", ["Once"], [*b"Once"], [[*b"Once"]]])
def test_a_prompt_has_several_forms(app: ScriptedApp, http: httpx.Client, prompt: Any) -> None:
    app.script.write(Say(" more"))
    body = {"prompt": prompt, "echo": True, "max_tokens": 50}
    assert http.post(COMPLETIONS, json=body).json()["choices"][0]["text"] == "Once more"


def test_a_text_goes_on_in_a_stream(app: ScriptedApp, http: httpx.Client) -> None:
    app.script.write(Say(" mo"), Say("re"))
    body = {"prompt": "Once", "stream": True, "stream_options": {"include_usage": True}}
    with http.stream("POST", COMPLETIONS, json=body) as response:
        *found, done = chunks(response.iter_lines())
    assert done is None
    texts = [chunk["choices"][0]["text"] for chunk in found if chunk and chunk["choices"]]
    assert texts == [" mo", "re", ""]
    last = found[-1]
    assert last is not None
    assert (last["choices"], last["usage"]["completion_tokens"] > 0) == ([], True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [10**9]}, "prompt"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({}, "prompt"),
    ],
)
def test_a_prompt_that_cannot_be_is_refused(
    app: ScriptedApp, http: httpx.Client, fields: dict[str, Any], param: str
) -> None:
    response = http.post(COMPLETIONS, json=fields)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_while_the_model_loads_clients_are_told_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, may_load=False) as app:
        for path in ("/health", "/readyz"):
            response = httpx.get(app.url + path, trust_env=False)
            assert response.status_code == 503
            assert response.json()["error"] == {
                "code": 503, "message": "The model is still loading.", "type": "unavailable_error",
            }  # fmt: skip
        response = httpx.post(app.url + CHAT, json=asked("Hello"), trust_env=False)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "loading")
        assert response.headers["retry-after"] == "2"
        app.let_load()
        assert httpx.get(app.url + "/readyz", trust_env=False).status_code == 200


def test_an_engine_that_has_ended_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as app:
        app.engine.die()
        response = httpx.get(app.url + "/health", trust_env=False)
        assert response.status_code == 503
        assert response.json()["error"]["message"] == str(app.engine.error)
        response = httpx.post(app.url + CHAT, json=asked("Hello"), trust_env=False)
        assert response.status_code == 503
        assert isinstance(app.engine.error, EngineClosed)


def test_without_the_page_the_api_is_served_alone(tmp_path: Path) -> None:
    with serving(tmp_path, "--no-page") as app:
        assert httpx.get(app.url, trust_env=False).status_code == 404
        assert httpx.get(app.url + "/healthz", trust_env=False).status_code == 200
        response = httpx.post(app.url + CHAT, json=asked("Hello"), trust_env=False)
        assert response.status_code == 200
