"""Files that are fetched once, by who was given the ticket."""

import time

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from web.files.downloads import PATH, Downloads, download_route


@pytest.fixture
def waiting() -> Downloads:
    return Downloads()


@pytest.fixture
def client(waiting: Downloads) -> TestClient:
    return TestClient(Starlette(routes=[download_route(waiting)]))


def test_a_ticket_is_good_for_one_download(waiting: Downloads, client: TestClient) -> None:
    ticket = waiting.add("法国 & co.md", "text/markdown; charset=utf-8", "你好".encode())
    got = client.post(PATH, data={"ticket": ticket})
    assert (got.status_code, got.text) == (200, "你好")
    disposition = got.headers["content-disposition"]
    assert disposition == "attachment; filename*=UTF-8''%E6%B3%95%E5%9B%BD%20%26%20co.md"
    assert got.headers["cache-control"] == "no-store"
    assert client.post(PATH, data={"ticket": ticket}).status_code == 404


def test_whose_file_is_gone_is_told_so_in_their_language(client: TestClient) -> None:
    gone = client.post(PATH, data={"ticket": "x"}, headers={"accept-language": "zh-CN"})
    assert (gone.status_code, gone.text) == (404, "这个下载已失效，请返回重新下载。")


def test_nobody_guesses_or_sends_a_ticket_in_an_address(
    waiting: Downloads, client: TestClient
) -> None:
    ticket = waiting.add("a.md", "text/plain", b"a")
    assert client.get(PATH, params={"ticket": ticket}).status_code == 405
    assert client.post(PATH, params={"ticket": ticket}).status_code == 404
    assert client.post(PATH, data={"ticket": "x" * 32}).status_code == 404
    assert client.post(PATH, data={"ticket": ticket, "pad": "x" * 2000}).status_code == 404
    assert client.post(PATH, data={"ticket": ticket}).content == b"a"


def test_what_nobody_fetches_goes(waiting: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    first = waiting.add("0", "text/plain", b"0")
    others = [waiting.add(str(i), "text/plain", b"") for i in range(8)]
    assert waiting.take(first) is None, "nine files are one too many"
    later = time.monotonic() + 121
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert [waiting.take(ticket) for ticket in others] == [None] * 8
