"""Whose X-Forwarded headers count, and what a request looks like behind them."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from web.forwarding import Forwarding, Prefix

SAID = {
    "x-forwarded-host": "chat.example:8080", "x-forwarded-proto": "https",
    "x-forwarded-for": "203.0.113.7",
}  # fmt: skip


def seen(
    headers: dict[str, str], peer: str = "10.0.0.5", trusted: Sequence[str] = ("10.0.0.5",)
) -> dict[str, Any]:
    """What an app sees of a request that comes from `peer`."""

    def answer(request: Request) -> JSONResponse:
        left = [name for name in request.headers if name.startswith("x-forwarded")]
        assert request.client is not None
        return JSONResponse({"url": str(request.url), "client": request.client.host, "left": left})

    app = Starlette(
        routes=[Route("/", answer)], middleware=[Middleware(Forwarding, trusted=trusted)]
    )
    client = TestClient(app, client=(peer, 1234), base_url="http://inside")
    found: dict[str, Any] = client.get("/", headers=headers).json()
    return found


BEHIND = {"url": "https://chat.example:8080/", "client": "203.0.113.7", "left": []}


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.0.0.5", ["10.0.0.5"]),
        ("10.0.0.5", ["192.0.2.1", "10.0.0.0/8"]),
        ("10.0.0.5", ["*"]),
        ("::ffff:10.0.0.5", ["10.0.0.5"]),  # as a socket of IPv6 has it
        ("fd00::5", ["fd00::/8"]),
    ],
)
def test_a_trusted_proxy_says_who_asked_and_for_what(peer: str, trusted: list[str]) -> None:
    assert seen(SAID, peer, trusted) == BEHIND


@pytest.mark.parametrize(
    ("peer", "trusted"), [("10.0.0.6", ["10.0.0.5"]), ("127.0.0.1", []), ("", ["10.0.0.5"])]
)
def test_nobody_believes_somebody_else(peer: str, trusted: list[str]) -> None:
    assert seen(SAID, peer, trusted) == {"url": "http://inside/", "client": peer, "left": []}


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ({}, "http://inside/"),
        ({"x-forwarded-host": ""}, "http://inside/"),
        ({"x-forwarded-host": "first.example, second.example"}, "http://first.example/"),
        ({"x-forwarded-host": "a.example", "x-forwarded-port": "8080"}, "http://a.example:8080/"),
        ({"x-forwarded-host": "a.example", "x-forwarded-port": "80"}, "http://a.example/"),
        ({"x-forwarded-host": "a.example:1", "x-forwarded-port": "2"}, "http://a.example:1/"),
        ({"x-forwarded-host": "[::1]", "x-forwarded-port": "81"}, "http://[::1]:81/"),
        ({"x-forwarded-host": "a.example", "x-forwarded-port": "no"}, "http://a.example/"),
        ({"x-forwarded-proto": "https"}, "https://inside/"),
        (
            {"x-forwarded-host": "a.example", "x-forwarded-port": "443", "x-forwarded-proto": "https"},
            "https://a.example/",
        ),
    ],
)  # fmt: skip
def test_host_and_port_are_put_together_as_the_visitor_asked(
    said: dict[str, str], url: str
) -> None:
    assert seen(said)["url"] == url


def test_a_proxy_that_is_not_trusted_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    app = Starlette(middleware=[Middleware(Forwarding, trusted=["127.0.0.1"])])
    client = TestClient(app, client=("10.0.0.6", 1234))
    with caplog.at_level(logging.WARNING, "web.forwarding"):
        client.get("/")
        assert not caplog.records
        for _ in range(3):
            client.get("/", headers=SAID)
    assert [record.args for record in caplog.records] == [("10.0.0.6", "10.0.0.6")]


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("/team/chat/", ""), ("/", ""), ("/team/chat/completion", "completion"), ("/completion", "completion"),
        ("/team/chatter", "team/chatter"), ("/team/chat/team/chat/x", "team/chat/x"),
    ],
)  # fmt: skip
def test_a_prefix_may_be_there_or_not(asked: str, served: str) -> None:
    def answer(request: Request) -> JSONResponse:
        return JSONResponse([request.path_params["rest"], request.url.path])

    client = TestClient(
        Starlette(
            routes=[Route("/{rest:path}", answer)],
            middleware=[Middleware(Prefix, root_path="/team/chat")],
        )
    )
    assert client.get(asked).json() == [served, f"/team/chat/{served}"]


def test_the_prefix_alone_leads_to_the_page() -> None:
    client = TestClient(Starlette(middleware=[Middleware(Prefix, root_path="/chat")]))
    answer = client.get("/chat", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/chat/")
