"""OpenAI's own client, and LangChain's over it, against the server."""

from typing import Any

import pytest

from tests.scripted import Cost, Say
from tests.scripted.app import ScriptedApp

openai = pytest.importorskip("openai")


@pytest.fixture
def client(app: ScriptedApp) -> Any:
    return openai.OpenAI(base_url=f"{app.url}/v1", api_key="any", max_retries=0)


def ask(client: Any, *messages: Any, **fields: Any) -> Any:
    said = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
    return client.chat.completions.create(model="any", messages=said, **fields)


def test_models_are_listed(client: Any) -> None:
    (model,) = client.models.list()
    assert client.models.retrieve(model.id) == model


def test_a_reply_and_its_usage(app: ScriptedApp, client: Any) -> None:
    app.script.write(Cost(reused=3, prefilled=4), Say("<think>Hm.</think>Paris."))
    reply = ask(client, "What is the capital of France?", temperature=0, max_completion_tokens=99)
    assert reply.choices[0].message.content == "Paris."
    assert reply.choices[0].message.reasoning_content == "Hm."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.prompt_tokens == 7
    assert reply.usage.prompt_tokens_details.cached_tokens == 3
    assert reply._request_id.startswith("req_")


def test_a_stream(app: ScriptedApp, client: Any) -> None:
    app.script.write(Say("Par"), Say("is."))
    told = list(ask(client, "Hello", stream=True, stream_options={"include_usage": True}))
    *pieces, usage = told
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == "Paris."
    assert (usage.choices, usage.usage.completion_tokens > 0) == ([], True)
    with client.chat.completions.stream(
        model="any", messages=[{"role": "user", "content": "Hello"}]
    ) as stream:
        assert stream.get_final_completion().choices[0].message.content == "You said: Hello"


def test_a_text_goes_on(app: ScriptedApp, client: Any) -> None:
    app.script.write(Say(" upon a time"))
    reply = client.completions.create(model="any", prompt="Once", max_tokens=50)
    assert reply.choices[0].text == " upon a time"


def test_refusals_are_the_clients_own_errors(app: ScriptedApp, client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "Hello", temperature=-1)
    assert (refused.value.param, refused.value.code) == ("temperature", "invalid_value")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_langchain_talks_on(app: ScriptedApp) -> None:
    langchain = pytest.importorskip("langchain_openai")
    model = langchain.ChatOpenAI(
        base_url=f"{app.url}/v1", api_key="any", model="any", max_tokens=99, stream_usage=True
    )
    first = model.invoke([("system", "Be brief."), ("human", "Hello")])
    assert first.content == "You said: Hello"
    told = [("system", "Be brief."), ("human", "Hello"), ("ai", first.content), ("human", "Bye")]
    second = model.invoke(told)
    assert second.usage_metadata["input_token_details"]["cache_read"] > 20
    pieces = list(model.stream([*told, ("ai", second.content), ("human", "So long")]))
    assert "".join(piece.content for piece in pieces) == "You said: So long"
    assert app.script.requests[-1].params.max_tokens == 99
