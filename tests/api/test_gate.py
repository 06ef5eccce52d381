"""Who may use the API, over the real server."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.gate import FOREIGN, NEEDS_KEY, NOT_FROM_HERE, SIGN_IN, WRONG_KEY
from tests.api.conftest import PATIENCE_S
from tests.api.talking import CHAT, asked, text, user
from tests.scripted.app import ScriptedApp, serving
from web.keys import new_key

HELLO = asked("Hello")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = {name: new_key(name) for name in ("anna", "bert")}
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    file.write_text("\n".join(line for _, line in made.values()))
    return {"file": str(file)} | {name: key for name, (key, _) in made.items()}


@pytest.fixture(scope="module")
def locked(keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    arguments = ["--api-key-file", keys["file"], "--max-body", "64KiB"]
    origins = ["--cors-origin", "https://chat.example"]
    with serving(tmp_path_factory.mktemp("locked"), *arguments, *origins) as app:
        yield app


def post(app: ScriptedApp, headers: dict[str, str], body: object = HELLO) -> httpx.Response:
    url = app.url + CHAT
    return httpx.post(url, json=body, headers=headers, timeout=PATIENCE_S, trust_env=False)


def message(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])


def test_without_keys_any_key_will_do(app: ScriptedApp) -> None:
    assert post(app, {"authorization": "Bearer sk-anything"}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "", "192.168.0.7", "[::2]"])
def test_a_name_that_leads_here_does_not_let_a_page_in(app: ScriptedApp, host: str) -> None:
    response = post(app, {"host": host})
    assert (response.status_code, message(response)) == (403, NOT_FROM_HERE)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7860", "[::1]:80"])
def test_this_machines_own_names_are_taken(app: ScriptedApp, host: str) -> None:
    assert post(app, {"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(app: ScriptedApp, headers: dict[str, str]) -> None:
    response = post(app, headers)
    assert (response.status_code, response.json()["error"]["type"]) == (403, "permission_error")
    assert message(response) == FOREIGN.format(origin=headers.get("origin", "other sites"))
    assert "access-control-allow-origin" not in response.headers


def test_this_sites_own_page_may(app: ScriptedApp) -> None:
    headers = {"origin": app.url, "sec-fetch-site": "same-origin"}
    assert post(app, headers).status_code == 200


def test_another_machine_needs_a_key(tmp_path: Path) -> None:
    with serving(tmp_path, "--trusted-proxies", "127.0.0.1") as app:
        response = post(app, {"x-forwarded-for": "192.0.2.7", "x-forwarded-host": "localhost"})
        assert (response.status_code, message(response)) == (403, NOT_FROM_HERE)


def test_where_people_sign_in_programs_need_keys(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "anna:geheim") as app:
        response = post(app, {})
        assert (response.status_code, message(response)) == (401, SIGN_IN)


def test_keys_are_asked_for_and_known(locked: ScriptedApp, keys: dict[str, str]) -> None:
    response = post(locked, {})
    assert (response.status_code, message(response)) == (401, NEEDS_KEY)
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"
    for wrong in ("anna", "anna.wrong", keys["anna"] + "x", keys["anna"].replace("anna", "bert")):
        response = post(locked, {"authorization": f"Bearer {wrong}"})
        assert (response.status_code, message(response)) == (401, WRONG_KEY)
    for right in (
        {"authorization": f"Bearer {keys['anna']}"},
        {"authorization": f"bearer  {keys['anna']}"},
        {"x-api-key": keys["anna"]},
        {"x-api-key": keys["anna"], "host": "chat.example", "origin": "https://evil.example"},
    ):
        assert post(locked, right).status_code == 200


def test_a_keys_conversations_are_its_own(locked: ScriptedApp, keys: dict[str, str]) -> None:
    said: list[object] = [user("Remember the number 7.")]
    for name in ("anna", "bert"):
        response = post(locked, {"x-api-key": keys[name]}, asked(*said))
        assert response.json()["usage"]["prompt_tokens_details"]["cached_tokens"] == 0, name
    said += [{"role": "assistant", "content": text(response.json())}, user("Which was it?")]
    for _ in range(2):
        response = post(locked, {"x-api-key": keys["bert"]}, asked(*said))
        assert response.json()["usage"]["prompt_tokens_details"]["cached_tokens"] > 20
    owners = {session_id.owner for session_id in locked.engine.stats().blocks_by_session}
    assert owners == {"api:anna", "api:bert"}


def test_a_user_sees_what_the_key_of_that_name_has_said(
    tmp_path: Path, keys: dict[str, str]
) -> None:
    who = ["--auth", "anna:geheim", "--api-key-file", keys["file"], "--api-conversations", "yes"]
    with serving(tmp_path, *who) as app:
        for name in ("anna", "bert"):
            assert post(app, {"x-api-key": keys[name]}).status_code == 200
        app.engine.flush(PATIENCE_S)
        (row,) = app.engine.library.conversations("user:anna")
        assert row.title == "Hello"
        assert app.engine.library.conversations("api:anna") == []


def test_probes_need_no_key(locked: ScriptedApp) -> None:
    for path in ("/health", "/readyz"):
        response = httpx.get(locked.url + path, trust_env=False)
        assert (response.status_code, response.json()["status"]) == (200, "ok")


def test_allowed_pages_are_told_that_they_may(locked: ScriptedApp, keys: dict[str, str]) -> None:
    origin = {"origin": "https://chat.example"}
    response = post(locked, {**origin, "x-api-key": keys["anna"]})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://chat.example"
    assert response.headers["vary"] == "origin"
    refused = post(locked, {**origin})
    assert refused.headers["access-control-allow-origin"] == "https://chat.example"
    asking = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key",
    }
    told = httpx.options(locked.url + CHAT, headers={**origin, **asking}, trust_env=False)
    assert told.status_code == 204
    assert told.headers["access-control-allow-origin"] == "https://chat.example"
    assert told.headers["access-control-allow-headers"] == "x-api-key"
    other = {"origin": "https://evil.example", **asking}
    told = httpx.options(locked.url + CHAT, headers=other, trust_env=False)
    assert "access-control-allow-origin" not in told.headers


def test_an_allowed_page_needs_no_key_where_there_are_none(tmp_path: Path) -> None:
    with serving(tmp_path, "--cors-origin", "http://localhost:3000") as app:
        headers = {"origin": "http://localhost:3000", "sec-fetch-site": "cross-site"}
        response = post(app, headers)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert post(app, {"origin": "http://localhost:3001"}).status_code == 403


def test_bodies_have_a_limit(locked: ScriptedApp, keys: dict[str, str]) -> None:
    headers = {"x-api-key": keys["anna"], "content-type": "application/json"}
    long = b"{" + b" " * 70_000

    def parts() -> Iterator[bytes]:
        yield from (long[:40_000], long[40_000:])

    for content in (long, parts()):
        response = httpx.post(locked.url + CHAT, content=content, headers=headers, trust_env=False)
        assert (response.status_code, message(response)) == (
            413,
            "The request is larger than 0.0625 MiB.",
        )


def test_what_is_not_there_is_said_in_the_same_shape(app: ScriptedApp, http: httpx.Client) -> None:
    response = http.get("/v1/files")
    assert (response.status_code, message(response)) == (404, "There is no /v1/files here.")
    response = http.get(CHAT)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")


def test_below_a_path_the_api_is_there_too(tmp_path: Path) -> None:
    with serving(tmp_path, "--root-path", "/chat") as app:
        for url in (app.url, app.url + "/chat"):
            response = httpx.post(url + CHAT, json=HELLO, trust_env=False, timeout=PATIENCE_S)
            assert response.status_code == 200


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    with serving(tmp_path, "--api", "no") as app:
        assert post(app, {}).status_code in {404, 405}
        assert httpx.get(app.url, trust_env=False).status_code == 200
