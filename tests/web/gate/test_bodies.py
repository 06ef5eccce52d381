"""Bodies that are too large or break off, by HTTP over the real server and as ASGI messages."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio.utils import get_upload_folder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.scripted.app import ScriptedApp, serving
from web.gate import Bodies

MIB = 2**20
SENTENCE = "the most that is taken here; send less."


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    """A server that takes little, and keeps uploads where no other process has any."""
    folder = tmp_path_factory.mktemp("small")
    limits = ["--max-upload", "1MiB", "--max-body", "128KiB", "--auth", "anna:geheim"]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        with serving(folder, *limits) as app:
            yield app


@pytest.fixture
def http(small: ScriptedApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=small.url, timeout=60) as client:
        client.post("/login", data={"username": "anna", "password": "geheim"})
        yield client


def in_pieces(num_bytes: int) -> Iterator[bytes]:
    """Without a length that says it all before."""
    for _ in range(0, num_bytes, 2**16):
        yield b" " * 2**16


def uploads() -> set[Path]:
    return set(Path(get_upload_folder()).rglob("*"))


@pytest.mark.parametrize(
    "path", [*(f"/gradio_api/{name}" for name in ("call/chat", "run/status", "component_server",
                                                   "cancel")), "/login"],
)  # fmt: skip
@pytest.mark.parametrize("has_length", [True, False])
def test_too_large_a_body_is_refused_on_every_route(
    http: httpx.Client, path: str, *, has_length: bool
) -> None:
    # Less than twice the limit: what is more is cut off, and whoever still sends may not hear why.
    num_bytes = 100_000 if path == "/login" else 200_000
    content: Any = b" " * num_bytes if has_length else in_pieces(num_bytes)
    kind = "application/x-www-form-urlencoded" if path == "/login" else "application/json"
    response = http.post(path, content=content, headers={"content-type": kind})
    assert response.status_code == 413
    assert SENTENCE in response.json()["detail"]


@pytest.mark.parametrize("num_files", [1, 3])
def test_too_large_an_upload_is_refused_and_leaves_nothing(
    http: httpx.Client, num_files: int
) -> None:
    before = uploads()
    files = [("files", ("a.bin", b"x" * (2 * MIB // num_files)))] * num_files
    response = http.post("/gradio_api/upload", files=files)
    assert response.status_code == 413
    assert SENTENCE in response.json()["detail"]
    assert uploads() == before


def test_what_fits_is_taken(http: httpx.Client) -> None:
    response = http.post("/gradio_api/upload", files={"files": ("a.bin", b"x" * MIB)})
    assert response.status_code == 200
    Path(response.json()[0]).unlink()
    body = json.dumps({"data": ["x" * 100_000, "", None]})
    headers = {"content-type": "application/json"}
    assert http.post("/gradio_api/call/chat", content=body, headers=headers).status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(small: ScriptedApp) -> None:
    before = uploads()
    head = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b"x" * 1000
    )
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": "/gradio_api/upload", "raw_path": b"/gradio_api/upload", "query_string": b"",
        "root_path": "", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"x"), (b"content-type", b"multipart/form-data; boundary=b"),
                    (b"cookie", signed_in(small))],
    }  # fmt: skip
    parts: list[Message] = [
        {"type": "http.request", "body": head, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    asyncio.run(call(small.server.app, scope, receive, send))
    assert parts == []
    assert uploads() == before


async def call(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def signed_in(app: ScriptedApp) -> bytes:
    response = httpx.post(f"{app.url}/login", data={"username": "anna", "password": "geheim"})
    cookies = response.cookies
    return "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()


def test_no_more_is_read_than_twice_the_limit() -> None:
    taken, said = 0, []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass

    async def receive() -> Message:
        nonlocal taken
        taken += 1000
        return {"type": "http.request", "body": b" " * 1000, "more_body": True}

    async def send(message: Message) -> None:
        said.append(message)

    scope: Scope = {"type": "http", "path": "/gradio_api/run/x", "headers": [], "method": "POST"}
    asyncio.run(Bodies(app, max_upload=1, max_body=10_000)(scope, receive, send))
    assert said[0]["status"] == 413
    assert taken <= 21_000
