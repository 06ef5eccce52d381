"""Whose language a request is answered in, and how the browser is told."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from web.languages import COOKIE, NAMES, Tongue, chosen, spoken
from web.languages.texts import LANGUAGES
from web.view import language_choice

PAGE = "<html><head><title>é</title></head><body><head></body></html>"


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (f"{COOKIE}=zh-TW", "zh-TW"), (f"a=b; {COOKIE}=en; c=d", "en"), (None, None), ("", None),
        (f"{COOKIE}=", None), (f"{COOKIE}=fr", None), (f"{COOKIE}=<script>", None),
        ("\x00;;=", None), (f'{COOKIE}="zh-CN"', "zh-CN"),
    ],
)  # fmt: skip
def test_only_a_language_of_ours_is_taken_from_the_cookie(
    cookie: str | None, expected: str | None
) -> None:
    headers = {"accept-language": "zh-CN"} | ({"cookie": cookie} if cookie is not None else {})
    assert chosen(headers) == expected
    assert spoken(headers) == (expected or "zh-CN")


def test_every_language_can_be_chosen_and_the_browsers_own() -> None:
    assert tuple(NAMES) == LANGUAGES
    by_browser = language_choice({"accept-language": "zh-CN"})
    assert '<option value="" selected>自动<' in by_browser
    by_hand = language_choice({"accept-language": "zh-CN", "cookie": f"{COOKIE}=zh-TW"})
    assert '<option value="zh-TW" selected>繁體中文<' in by_hand
    assert by_hand.count(" selected") == 1


def client() -> TestClient:
    async def page(_request: Request) -> Response:
        return HTMLResponse(PAGE)

    async def headless(_request: Request) -> Response:
        return HTMLResponse("<p>x</p>")

    async def values(_request: Request) -> Response:
        return JSONResponse({"html": "<head>"})

    async def stream(_request: Request) -> Response:
        return StreamingResponse(iter(["<he", "ad>"]), media_type="text/event-stream")

    routes = [Route("/", page), Route("/p", headless), Route("/json", values),
              Route("/stream", stream), Route("/gradio_api/file=x.html", page)]  # fmt: skip
    app = Starlette(routes=routes)
    app.add_middleware(Tongue)
    return TestClient(app)


def test_the_page_names_its_language_before_any_script_of_it_runs() -> None:
    answer = client().get("/", headers={"accept-language": "fr,zh-TW;q=0.5"})
    script, _, rest = answer.text.partition("</script>")
    assert script.startswith("<html><head><script>")
    assert "'language', {get: () => 'zh-TW'}" in script
    assert rest == PAGE.removeprefix("<html><head>")
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_choice_by_hand_goes_before_the_browsers_languages() -> None:
    headers = {"accept-language": "en", "cookie": f"{COOKIE}=zh-CN"}
    assert "'zh-CN'" in client().get("/", headers=headers).text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/p", "<p>x</p>"), ("/json", '{"html":"<head>"}'), ("/stream", "<head>"),
        ("/gradio_api/file=x.html", PAGE),
    ],
)  # fmt: skip
def test_what_is_no_page_passes_unchanged(path: str, text: str) -> None:
    answer = client().get(path)
    assert answer.text == text
    if "content-length" in answer.headers:
        assert int(answer.headers["content-length"]) == len(answer.content)
