import asyncio
import html
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from engine import Engine, SessionId
from engine.errors import ModelNotFound
from engine.events import Finished
from export.progress import Progress
from tests.scripted import Engines, ScriptedEngine
from web import view
from web.api import Guard, is_remote_file, routes
from web.languages import LANGUAGES, say
from web.options import Options
from web.startup import Startup

PATIENCE_S = 60.0


@pytest.fixture
def startup(engines: Engines, started: Callable[[ScriptedEngine], Startup]) -> Startup:
    return started(engines())


def client(startup: Startup) -> TestClient:
    def page(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("page")

    everything = [*routes(startup), Route("/{rest:path}", page)]
    return TestClient(Starlette(routes=everything, middleware=[Middleware(Guard)]))


def test_healthz_tells_exporting_loading_ready(options: Options, engines: Engines) -> None:
    engine, exporting, exported = engines.unstarted(), threading.Event(), threading.Event()

    def factory(_options: Options, progress: Progress) -> Engine:
        progress("Converting weights", 1, 2)
        exporting.set()
        exported.wait(PATIENCE_S)
        return engine

    startup = Startup(options, factory).start()
    browser = client(startup)
    exporting.wait(PATIENCE_S)
    response = browser.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {
        "status": "loading", "model": options.model, "step": "Converting weights", "percent": 50,
    }  # fmt: skip
    exported.set()
    while startup.phase == "exporting":
        time.sleep(0.001)
    response = browser.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {"status": "loading", "model": options.model, "storage": "ok"}
    engine.start()
    startup._thread.join()
    response = browser.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready", "model": "scripted-model", "storage": "ok",
    }  # fmt: skip


def test_healthz_says_why_the_start_failed(
    engines: Engines, started: Callable[[ScriptedEngine], Startup]
) -> None:
    startup = started(engines(failure=ModelNotFound("/m: no openvino_model.xml in it.")))
    response = client(startup).get("/healthz")
    assert response.status_code == 503
    assert response.json()["status"] == "failed"
    assert response.json()["error"] == "/m: no openvino_model.xml in it."


def test_an_engine_that_died_is_not_ready(
    engines: Engines, started: Callable[[ScriptedEngine], Startup]
) -> None:
    engine = engines()
    startup = started(engine)
    assert client(startup).get("/healthz").status_code == 200
    engine.die()
    response = client(startup).get("/healthz")
    assert (response.status_code, response.json()["error"]) == (503, str(engine.error))
    assert "start it again" in str(engine.error)


def test_an_engine_that_was_loaded_again_is_told_and_the_page_says_so(
    started: Callable[[ScriptedEngine], Startup], engines: Engines
) -> None:
    engine = engines()
    startup = started(engine)
    assert "restarts" not in client(startup).get("/healthz").json()
    engine.stumble()
    while not engine.restarts:
        time.sleep(0.001)
    engine.script.wake()
    answer = client(startup).get("/healthz")
    assert (answer.status_code, answer.json()["restarts"]) == (200, 1)
    assert say("zh-CN", "restarted") in view.status(startup, "zh-CN")


def test_what_is_not_stored_is_said_on_the_page_and_in_healthz_until_it_is(
    started: Callable[[ScriptedEngine], Startup],
    engines: Engines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.conversations.writer.PATIENCE_S", 0.05)
    engine = engines(tmp_path)
    startup = started(engine)
    session_id = SessionId("ann", "one")
    engine.open_session(session_id)

    async def chat() -> Finished:
        *_, last = [event async for event in engine.chat(session_id, "Hello")]
        assert isinstance(last, Finished)
        return last

    other = sqlite3.connect(tmp_path / "warmchat.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert not asyncio.run(chat()).is_stored
    while engine.storage.trouble is None:
        time.sleep(0.001)
    health = client(startup).get("/healthz")
    assert health.status_code == 200, "it takes turns"
    assert "Another program" in health.json()["storage"]
    assert str(tmp_path) not in health.json()["storage"]
    for language in LANGUAGES:
        reason = say(language, "trouble_busy")
        notice = html.escape(say(language, "stored_later", reason=reason))
        assert notice in view.status(startup, language)
    other.execute("ROLLBACK")
    other.close()
    engine._journal.flush(PATIENCE_S)
    assert client(startup).get("/healthz").json()["storage"] == "ok"
    assert "notice" not in view.status(startup, "en")
    assert asyncio.run(chat()).is_stored


def test_conversations_that_are_kept_in_memory_only_are_said_to_be(
    started: Callable[[ScriptedEngine], Startup], engines: Engines, tmp_path: Path
) -> None:
    (tmp_path / "warmchat.db").mkdir()
    startup = started(engines(tmp_path))
    assert "cannot be opened" in client(startup).get("/healthz").json()["storage"]
    reason = say("zh-TW", "trouble_unopenable")
    assert say("zh-TW", "stored_nowhere", reason=reason) in view.status(startup, "zh-TW")


def test_a_start_that_fails_at_a_file_names_no_path(options: Options) -> None:
    def factory(_options: Options, _progress: Progress) -> Engine:
        raise PermissionError(13, "Permission denied", "/srv/secret/models")

    startup = Startup(options, factory).start()
    startup._thread.join()
    said = client(startup).get("/healthz").json()["error"] + view.status(startup, "en")
    assert "Permission denied" in said
    assert "/srv" not in said


def test_a_database_that_was_damaged_is_said_to_have_been(
    started: Callable[[ScriptedEngine], Startup], engines: Engines, tmp_path: Path
) -> None:
    (tmp_path / "warmchat.db").write_bytes(b"no database" * 100)
    startup = started(engines(tmp_path))
    assert "kept as warmchat.damaged-1.db" in view.status(startup, "en")
    assert client(startup).get("/healthz").json()["storage"] == "ok"


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://example.com/x", "/gradio_api/file=https:/example.com/x",
        "/file=HTTP://example.com", "/gradio_api/file%3Dhttps%3A%2F%2Fexample.com",
        "/gradio_api/file%253Dhttp%253A//example.com", "/gradio_api/file= http://example.com",
        "/gradio_api/file=ftp://example.com",
    ],
)  # fmt: skip
def test_files_of_other_servers_are_refused(startup: Startup, path: str) -> None:
    assert client(startup).get(path).status_code == 403


def test_a_doubly_encoded_address_is_seen() -> None:
    assert is_remote_file("/gradio_api/file%3Dhttp%3A//example.com")
    assert is_remote_file("/gradio_api/file=http%253A//example.com")


@pytest.mark.parametrize("path", ["/", "/gradio_api/file=/tmp/x.png", "/gradio_api/file=a.png"])
def test_files_of_our_own_pass(startup: Startup, path: str) -> None:
    assert client(startup).get(path).text == "page"


@pytest.mark.parametrize(
    ("method", "headers", "is_let_in"),
    [
        ("POST", {}, True),
        ("POST", {"origin": "http://testserver"}, True),
        ("POST", {"origin": "http://testserver:8080"}, False),
        # A proxy may write the port that the protocol knows.
        ("POST", {"origin": "http://testserver", "host": "testserver:80"}, True),
        ("POST", {"origin": "https://testserver", "host": "testserver:443"}, True),
        ("POST", {"origin": "https://testserver", "host": "testserver:80"}, False),
        ("POST", {"origin": "http://[::1]:81", "host": "[::1]:81"}, True),
        ("POST", {"origin": "http://[::1]:82", "host": "[::1]:81"}, False),
        ("POST", {"origin": "http://evil.example"}, False),
        ("POST", {"origin": "null"}, False),
        ("POST", {"origin": "http://["}, False),
        ("GET", {"origin": "http://evil.example"}, False),
        ("POST", {"sec-fetch-site": "same-origin", "origin": "https://behind.proxy"}, True),
        ("POST", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, True),
        # Another port of this host, or another subdomain, is another site too.
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, False),
        ("POST", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, False),
        # Following a link is no script; sending a form from another site is not following a link.
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
        ("HEAD", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),
        ("POST", {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}, False),
    ],
)
def test_scripts_and_forms_of_other_sites_are_refused(
    startup: Startup, method: str, headers: dict[str, str], is_let_in: bool
) -> None:
    response = client(startup).request(method, "/healthz", headers=headers)
    assert (response.status_code != 403) == is_let_in


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refusal_says_in_the_visitors_language_what_a_proxy_has_to_set(
    startup: Startup, language: str
) -> None:
    headers = {"origin": "http://chat.example:8080", "host": "chat.example"}
    response = client(startup).get("/", headers=headers | {"accept-language": language})
    said = say(language, "foreign", origin="http://chat.example:8080", host="chat.example")
    assert (response.status_code, response.text) == (403, said)
    assert "proxy_set_header Host $http_host" in said
    assert "--trusted-proxies" in said


@pytest.mark.parametrize(
    ("path", "headers", "key"),
    [
        ("/file=http://example.com", {}, "remote_file"),
        ("/logout", {"sec-fetch-mode": "no-cors"}, "sign_out_click"),
    ],
)
def test_what_is_refused_otherwise_is_told_in_that_language_too(
    startup: Startup, path: str, headers: dict[str, str], key: str
) -> None:
    response = client(startup).get(path, headers=headers | {"accept-language": "zh-TW"})
    assert (response.status_code, response.text) == (403, say("zh-TW", key))


def test_every_answer_carries_the_security_headers(startup: Startup) -> None:
    browser = client(startup)
    for path in ("/", "/healthz", "/file=http://example.com"):
        headers = browser.get(path).headers
        assert "img-src 'self' data: blob:" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_an_image_in_an_answer_cannot_sign_anybody_out(startup: Startup) -> None:
    browser = client(startup)
    image = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors"}
    assert browser.get("/logout", headers=image).status_code == 403
    link = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
    assert browser.get("/logout", headers=link).status_code == 200


def test_a_form_in_an_answer_cannot_be_sent_to_another_server(startup: Startup) -> None:
    policy = client(startup).get("/").headers["content-security-policy"]
    assert "form-action 'self'" in policy
