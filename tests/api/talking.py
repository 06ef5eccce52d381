"""What tests say to the API, and how they read its streams."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx

from tests.scripted.app import ScriptedApp

CHAT = "/v1/chat/completions"


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def system(text: Any) -> dict[str, Any]:
    return {"role": "system", "content": text}


def say(http: httpx.Client, *messages: Any, **fields: Any) -> dict[str, Any]:
    """A whole reply. messages: of the user, where they are texts."""
    response = http.post(CHAT, json=asked(*messages, **fields))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def asked(*messages: Any, **fields: Any) -> dict[str, Any]:
    said = [user(message) if isinstance(message, str) else message for message in messages]
    return {"model": "any", "messages": said, **fields}


def text(reply: dict[str, Any]) -> str:
    return str(reply["choices"][0]["message"]["content"])


def chunks(lines: Iterator[str]) -> Iterator[dict[str, Any] | None]:
    """What a stream says, up to its [DONE], which is None."""
    for line in lines:
        if not line:
            continue
        assert line.startswith("data: "), f"some clients stumble over {line!r}"
        data = line.removeprefix("data: ")
        yield None if data == "[DONE]" else json.loads(data)


def streamed(http: httpx.Client, *messages: Any, **fields: Any) -> list[dict[str, Any]]:
    """All chunks of a reply, of which the last line is [DONE]."""
    body = asked(*messages, stream=True, **fields)
    with http.stream("POST", CHAT, json=body) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        found = list(chunks(response.iter_lines()))
    assert found.pop() is None
    assert None not in found
    return [chunk for chunk in found if chunk is not None]


def wait_until_running(app: ScriptedApp, count: int = 1) -> None:
    """Until so many turns are being answered: what is told to them before reaches nobody."""
    while app.engine.stats().running < count:
        time.sleep(0.001)
