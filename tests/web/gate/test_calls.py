"""Calls by plain HTTP that Gradio would answer with an empty error: each gets a sentence."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import gradio as gr
import httpx
import pytest

from tests.scripted.app import ScriptedApp

API = "/gradio_api"
DEEP = json.loads("[" * 100 + "]" * 100)
DEEPER = '{"data": ' + "[" * 100_000


@pytest.fixture
def http(app: ScriptedApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{app.url}{API}", timeout=60) as client:
        yield client


def told(http: httpx.Client, path: str, body: Any) -> tuple[int, str]:
    """Status and sentence of a call; one that is taken is followed to its end."""
    content = body if isinstance(body, str) else json.dumps(body)
    response = http.post(quote(path), content=content, headers={"content-type": "application/json"})
    found = response.json()
    if "event_id" not in found:
        return response.status_code, found["detail" if "detail" in found else "error"]
    name = path.removeprefix("/call/").removeprefix("v2/")
    stream = http.get(f"/call/{name}/{found['event_id']}").text
    return 200, json.loads(stream.strip().rpartition("data: ")[2])["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/call/chat", {"data": ["Hi", ""]}, 422, "Missing: settings."),
        ("/call/chat", {"data": []}, 422, "Missing: message, conversation, settings."),
        ("/call/chat", {"data": ["Hi", "", None, 1]}, 422, "4 values came, but it takes 3: message,"),
        ("/call/chat", {"data": {"message": "Hi"}}, 422, '"data" must be a list'),
        ("/call/chat", {}, 422, '"data" must be a list'),
        ("/call/chat", [1], 422, '"data" must be a list'),
        ("/call/chat", "{", 400, "not valid JSON"),
        ("/call/chat", {"data": ["Hi", "", {"stop": DEEP}]}, 422, "nested more than"),
        ("/call/chat", DEEPER, 422, "nested more than"),
        ("/call/chat", {"data": [None, "", None]}, 200, "message must be a text, or an object"),
        ("/call/chat", {"data": [5, "", None]}, 200, "message must be a text, or an object"),
        ("/call/chat", {"data": ["Hi", 5, None]}, 200, "no such conversation of yours"),
        ("/call/chat", {"data": ["Hi", "", [1]]}, 200, "settings must be an object"),
        ("/call/chat", {"data": ["Hi", "", "x"]}, 200, "settings must be an object"),
        ("/call/v2/chat", {"words": "Hi"}, 422, "no value words; it takes: message, conversation,"),
        ("/call/v2/chat", {"conversation": ""}, 422, "Missing: message."),
        ("/call/v2/chat", [], 422, "an object with the values by their names"),
        ("/call/figures", {"data": []}, 422, "Missing: conversation."),
        ("/call/new_conversation", {"data": [1]}, 422, "1 values came, but it takes 0"),
        ("/call/nothing", {"data": []}, 404, "no endpoint nothing here"),
        ("/call/v2/nothing", {}, 404, "no endpoint nothing here"),
        ("/run/nothing", {"data": []}, 404, "no endpoint nothing here"),
        ("/run/predict", {"data": [], "fn_index": 9999}, 404, "no endpoint 9999 here"),
        ("/run/figures", {"data": []}, 422, "Missing: conversation."),
        ("/run/figures", {"data": ["other.one"]}, 422, "no such conversation of yours"),
        ("/queue/join", {"data": [], "session_hash": "x", "fn_index": 9999}, 404, "no endpoint 9999"),
        ("/queue/join", {"data": [], "session_hash": "x"}, 404, "no endpoint"),
        ("/run/shelf", {"data": [None]}, 422, "1 values came where this event takes 2"),
        ("/run/shelf", {"data": [None, 5]}, 422, "data[1] must be a text"),
        ("/run/js_fn", {"data": ["x"]}, 404, "no endpoint js_fn here"),
        ("/run/_choose", {"data": []}, 422, "Missing: index, value."),
        ("/run/predict", {"data": [], "fn_index": "\ud800"}, 404, "no endpoint ? here"),
        ("/run/undo", {"data": [None, []], "event_data": {"index": None, "value": "x"}}, 422, "index must be a"),
        ("/run/_choose", {"data": [], "event_data": {"index": 0, "value": 5}}, 422, "value must be a text"),
        ("/run/answer", {"data": ["Hi"]}, 422, "1 values came where this event takes"),
        ("/run/load_example", {"data": []}, 422, "0 values came where this event takes 1"),
        ("/run/shelf", {"data": [None, ""], "fn_index": True}, 404, "no endpoint True here"),
        ("/run/load_example", {"data": [None]}, 422, "data[0] must be a number"),
        ("/run/take_sampling", {"data": [None]}, 422, "data[0] must be a text"),
        ("/run/take_prompt", {"data": ["99", "x"]}, 422, "not in the list of choices"),
        ("/run/_retry", {"data": [[{"role": 5}]]}, 422, "A value of this event cannot be."),
        ("/call/a\0b", {"data": []}, 400, "This request cannot be"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_gets_a_sentence_and_no_traceback(
    http: httpx.Client, capfd: pytest.CaptureFixture[str], path: str, body: Any, status: int,
    sentence: str,
) -> None:  # fmt: skip
    found, said = told(http, path, body)
    assert (found, sentence in said) == (status, True), said
    assert "Traceback" not in capfd.readouterr().err


def test_a_value_that_cannot_be_is_refused_in_the_language_of_the_page(http: httpx.Client) -> None:
    http.headers["accept-language"] = "zh-CN"
    _, said = told(http, "/run/_retry", {"data": [[{"role": 5}]]})
    assert said == "此事件中有一个值不可用，请刷新页面。"


def test_null_is_what_is_left_at_its_default(app: ScriptedApp, http: httpx.Client) -> None:
    event = http.post("/call/chat", json={"data": ["Hi", None, None]}).json()["event_id"]
    assert '"You said: Hi"' in http.get(f"/call/chat/{event}").text


def test_the_sentence_is_in_the_language_of_the_request(http: httpx.Client) -> None:
    headers = {"accept-language": "zh-TW"}
    refused = http.post("/call/chat", json={"data": []}, headers=headers)
    assert refused.json()["detail"].startswith("缺少：message")


def test_what_gradio_stumbles_over_is_one_line_in_the_log(
    http: httpx.Client, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    refused = http.post("/upload", files={"files": (None, "no file, but a field")})
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("This request cannot be")
    assert "Traceback" not in capfd.readouterr().err
    assert "TypeError" in caplog.text
    assert caplog.text.count("\n") == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [("../?page=99999", 400), ("../pwa_icon/99", 400), ("/call/chat/nothing", 404),
     ("/queue/data?session_hash=nothing", 200)],
)  # fmt: skip
def test_what_is_not_there_leaves_no_traceback(
    http: httpx.Client, capfd: pytest.CaptureFixture[str], path: str, status: int
) -> None:
    assert http.get(path).status_code == status
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["shelf", "tick", "load", "follow"])
def test_a_page_may_leave_its_boxes_empty(
    http: httpx.Client, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    ids = {"owner": "x" * 32, "conversation": "y" * 32}
    values: list[Any] = [ids, None, []] if name == "follow" else [ids, None]
    response = http.post(f"/run/{name}", json={"data": values, "session_hash": name})
    assert response.status_code == 200
    assert "Traceback" not in capfd.readouterr().err


def test_every_event_takes_null_for_each_of_its_values_or_says_why_not(
    app: ScriptedApp, http: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    usual: dict[Any, Any] = {
        gr.Textbox: "Hi",
        gr.Slider: 1,
        gr.Number: 1,
        gr.Checkbox: True,
        gr.Chatbot: [],
    }
    event = {"index": 0, "value": "x", "previous_value": "y"}
    for index, function in app.gradio.blocks.fns.items():
        values = [usual.get(type(block)) for block in function.inputs]
        for place in range(len(values) if function.fn is not None else 0):
            given = [*values[:place], None, *values[place + 1 :]]
            body = {"data": given, "fn_index": index, "session_hash": "x", "event_data": event}
            response = http.post("/run/predict", json=body)
            error = capfd.readouterr().err
            assert "Traceback" not in error, (function.api_name, place, error)
            assert response.status_code in {200, 422}, (function.api_name, place, response.text)
