"""Who knows another one's session hash, event id or upload reaches nothing by it."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.scripted import HOLD, End, Say
from tests.scripted.app import ScriptedApp, serving
from web.gate.claims import COOKIE, Claims
from web.users import hashed

API = "/gradio_api"
Visitor = Callable[[str | None], httpx.Client]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    users = ["--auth", "anna:geheim", "--auth-file"]
    folder = tmp_path_factory.mktemp("closed")
    (folder / "users.txt").write_text(f"bert:{hashed('secret')}\n")
    with serving(folder, *users, str(folder / "users.txt")) as app:
        yield app


PASSWORDS = {"anna": "geheim", "bert": "secret"}


def come(app: ScriptedApp, name: str | None = None) -> httpx.Client:
    """A browser, which has seen the page, and signed in if it has a name."""
    client = httpx.Client(base_url=app.url, timeout=60)
    client.get("/")
    if name is not None:
        client.post("/login", data={"username": name, "password": PASSWORDS[name]})
    return client


def fn_index(app: ScriptedApp, name: str) -> int:
    return next(int(i) for i, fn in app.gradio.blocks.fns.items() if fn.api_name == name)


def joined(app: ScriptedApp, owner: httpx.Client, page: str) -> str:
    """The event id of an answer that holds."""
    app.script.write(Say("Once"), HOLD)
    body = {"data": ["Hi", "", None], "session_hash": page, "fn_index": fn_index(app, "chat")}
    event = str(owner.post(f"{API}/queue/join", json=body).json()["event_id"])
    while app.script._written:  # until the answer has begun
        time.sleep(0.001)
    return event


def reaches(app: ScriptedApp, other: httpx.Client, page: str, event: str) -> dict[str, int]:
    """The status of each route that takes the ids."""
    body: Any = {"session_hash": page, "event_id": event, "fn_index": 0}
    asked = {
        "cancel": other.post(f"{API}/cancel", json=body),
        "cancel by another type": other.post(
            f"{API}/cancel", content=json.dumps(body), headers={"content-type": "Application/JSON ;a=b"}
        ),
        "reset": other.post(f"{API}/reset", json={"event_id": event}),
        "stream": other.post(f"{API}/stream/{event}", json={"data": []}),
        "close": other.post(f"{API}/stream/{event}/close"),
        "run": other.post(f"{API}/run/new_conversation", json={"data": [], "session_hash": page}),
        "join": other.post(f"{API}/queue/join", json={"data": [], "session_hash": page,
                                                       "fn_index": fn_index(app, "new_conversation")}),
        "twice": other.get(f"{API}/queue/data?session_hash=mine&session_hash={page}"),
    }  # fmt: skip
    for path in (f"queue/data?session_hash={page}", f"heartbeat/{page}", f"call/chat/{event}",
                 f"call/v2/chat/{event}", f"stream/{page}/0/0/playlist.m3u8"):  # fmt: skip
        with other.stream("GET", f"{API}/{path}") as response:
            asked[path] = response
    return {name: response.status_code for name, response in asked.items()}


@pytest.mark.parametrize("name", ["bert", None])
def test_with_sign_in_the_ids_of_a_page_are_its_users(
    closed: ScriptedApp, name: str | None
) -> None:
    anna, other = come(closed, "anna"), come(closed, name)
    event = joined(closed, anna, f"page{name}")
    assert set(reaches(closed, other, f"page{name}", event).values()) <= {401, 404}
    closed.script.tell(End())
    with anna.stream("GET", f"{API}/queue/data?session_hash=page{name}") as stream:
        assert '"success":true' in "".join(stream.iter_text())


def test_a_user_goes_on_in_another_browser(closed: ScriptedApp) -> None:
    event = joined(closed, come(closed, "anna"), "laptop")
    closed.script.tell(End())
    with come(closed, "anna").stream("GET", f"{API}/queue/data?session_hash=laptop") as stream:
        assert event in "".join(stream.iter_text())


def test_without_sign_in_they_are_the_browsers(app: ScriptedApp) -> None:
    owner, other, program = come(app), come(app), httpx.Client(base_url=app.url, timeout=60)
    assert COOKIE in owner.cookies
    event = joined(app, owner, "open")
    assert set(reaches(app, other, "open", event).values()) == {404}
    assert set(reaches(app, program, "open", event).values()) == {404}
    app.script.tell(End())
    with owner.stream("GET", f"{API}/queue/data?session_hash=open") as stream:
        assert '"success":true' in "".join(stream.iter_text())


def test_an_uploaded_file_and_its_progress_are_for_who_sent_it(app: ScriptedApp) -> None:
    owner, other, third = come(app), come(app), come(app)
    files = {"files": ("notes.txt", b"The meeting is on Tuesday.")}
    [path] = owner.post(f"{API}/upload?upload_id=up", files=files).json()
    assert owner.get(f"{API}/file={path}").text == "The meeting is on Tuesday."
    assert other.get(f"{API}/file={path}").status_code == 404
    for spelling in (f"file%3D{path}", f"file=/{path}", f"file=/tmp/..{path}", f"file/{path}",
                     f"file={path.replace('/notes', '//notes')}"):  # fmt: skip
        assert other.get(f"{API}/{spelling}").status_code in {403, 404}
    assert owner.get(f"{API}/file=/tmp/..{path}").status_code == 200
    assert other.get(f"{API}/upload_progress?upload_id=up").status_code == 404
    third.post(f"{API}/upload", files=files)
    assert owner.get(f"{API}/file={path}").status_code == 200
    assert third.get(f"{API}/file={path}").status_code == 200


def test_the_cookie_is_for_no_script_and_is_given_once(app: ScriptedApp) -> None:
    client = httpx.Client(base_url=app.url)
    given = client.get("/").headers["set-cookie"]
    assert given.startswith(f"{COOKIE}=")
    assert "HttpOnly" in given
    assert "set-cookie" not in client.get("/").headers


def test_the_first_user_of_an_id_owns_it() -> None:
    claims = Claims()
    assert claims.may_use("x", "user:anna")
    assert not claims.may_use("x", "user:bert")
    assert not claims.may_use("x", None)
    assert claims.may_use("x", "user:anna")
    claims.share("x", None)
    assert claims.may_use("x", None)
