"""Signing in with wrong passwords, over the real server and as ASGI messages."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.scripted.app import ScriptedApp, serving
from web.gate import SignIn
from web.gate.tries import FREE_TRIES, LONGEST_WAIT_S
from web.users import Hash


@pytest.fixture
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    with serving(tmp_path_factory.mktemp("closed"), "--auth", "anna:geheim") as app:
        yield app


def sign_in(app: ScriptedApp, password: str, **headers: str) -> httpx.Response:
    form = {"username": (None, "anna"), "password": (None, password)}
    return httpx.post(f"{app.url}/login", files=form, headers=headers, timeout=60)


def test_after_some_wrong_passwords_even_the_right_one_waits_and_is_not_hashed(
    closed: ScriptedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def fits(self: Hash, password: str) -> bool:
        checked.append(password)
        return password == "geheim"

    monkeypatch.setattr(Hash, "fits", fits)
    monkeypatch.setattr("web.gate.tries.FIRST_WAIT_S", LONGEST_WAIT_S)
    assert sign_in(closed, "geheim").status_code == 200
    tries = [sign_in(closed, "wrong").status_code for _ in range(FREE_TRIES)]
    assert tries == [400] * FREE_TRIES
    num_checked = len(checked)
    refused = sign_in(closed, "geheim", **{"accept-language": "zh-TW"})
    assert refused.status_code == 429
    seconds = int(refused.headers["retry-after"])
    assert 0 < seconds <= LONGEST_WAIT_S
    assert refused.json()["detail"] == f"密碼錯誤次數過多，請於 {seconds} 秒後再試。"
    assert len(checked) == num_checked


def test_only_a_few_are_checked_at_once() -> None:
    begun, go_on = [], asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(1)
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def tried(number: int) -> int:
        body: list[Message] = [{"type": "http.request", "body": b"username=x", "more_body": False}]
        said: list[Any] = []

        async def receive() -> Message:
            return body.pop()

        async def send(message: Message) -> None:
            said.append(message)

        scope: Scope = {
            "type": "http", "method": "POST", "path": "/login", "client": (f"192.0.2.{number}", 1),
            "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
            "query_string": b"",
        }  # fmt: skip
        await guarded(scope, receive, send)
        return int(said[0]["status"])

    async def scenario() -> None:
        tasks = [asyncio.create_task(tried(number)) for number in range(12)]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {429}
        go_on.set()
        assert sorted(await asyncio.gather(*tasks)) == [200] * 8 + [429] * 4
        assert len(begun) == 8

    guarded = SignIn(app)
    asyncio.run(scenario())
