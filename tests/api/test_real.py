"""OpenAI's own client against the whole program with the real model, over restarts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from tests.api.conftest import PATIENCE_S
from web.listening import listen
from web.options import parse_options
from web.serve import launch
from web.startup import Startup

openai = pytest.importorskip("openai")

QUESTIONS = ["What is the capital of France?", "And of Italy?", "Which of them is larger?"]


@contextmanager
def running(model: Path, folder: Path) -> Iterator[Any]:
    """A client of the program, with the API alone."""
    arguments = [
        "--model",
        str(model),
        "--data-dir",
        str(folder),
        "--no-page",
        "--precision",
        "f32",
    ]
    options = parse_options([*arguments, "--kv-budget", "256MiB"], environ={})
    sockets = listen(options.host, 0)
    options = replace(options, port=sockets[0].getsockname()[1])
    startup = Startup(options).start()
    server = launch(options, startup, sockets)
    startup._thread.join(PATIENCE_S)
    assert startup.phase == "ready", startup.failure
    try:
        yield openai.OpenAI(base_url=f"http://127.0.0.1:{options.port}/v1", api_key="any")
    finally:
        startup.close(PATIENCE_S)
        server.end()
        server.wait(PATIENCE_S)


def test_the_client_parses_what_it_asked_for(smollm2_dir: Path, tmp_path: Path) -> None:
    class City(BaseModel):
        name: str = Field(max_length=20)
        is_capital: bool

    with running(smollm2_dir, tmp_path) as client:
        reply = client.chat.completions.parse(
            model="any",
            messages=[{"role": "user", "content": "Tell me about Tokyo."}],
            response_format=City,
            temperature=0,
            max_tokens=80,
        )
    assert isinstance(reply.choices[0].message.parsed, City)
    assert reply.choices[0].finish_reason == "stop"


def test_a_conversation_goes_on_over_restarts_and_reads_only_what_is_new(
    smollm2_dir: Path, tmp_path: Path
) -> None:
    said: list[dict[str, str]] = [{"role": "system", "content": "You answer in one sentence."}]
    whole = 0  # tokens of the prompt and the reply before
    for i, question in enumerate(QUESTIONS):
        said.append({"role": "user", "content": question})
        with running(smollm2_dir, tmp_path) as client:
            ask = {"model": "any", "messages": said, "temperature": 0, "max_tokens": 24}
            reply = client.chat.completions.create(**ask)
            again = "".join(
                chunk.choices[0].delta.content or ""
                for chunk in client.chat.completions.create(**ask, stream=True)
            )
        usage = reply.usage
        assert again == reply.choices[0].message.content
        if i:
            assert reply.warmchat["source"] == "disk"
            assert usage.prompt_tokens_details.cached_tokens >= whole - 2
            assert usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens < 24
        whole = usage.total_tokens
        said.append({"role": "assistant", "content": again})


def test_a_text_goes_on_from_its_tokens(smollm2_dir: Path, tmp_path: Path) -> None:
    with running(smollm2_dir, tmp_path) as client:
        reply = client.completions.create(
            model="any", prompt="The capital of France is", temperature=0, max_tokens=4
        )
        assert "Paris" in reply.choices[0].text
