"""What operators see: metrics, the access log, limits of keys, over the real server."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine import SessionId
from tests.api.conftest import PATIENCE_S
from tests.api.talking import CHAT, asked, say, wait_until_running
from tests.scripted import Cost, Say
from tests.scripted.app import ScriptedApp, serving
from web.keys import new_key


def metrics(url: str, **headers: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels."""
    response = httpx.get(f"{url}/metrics", headers=headers, trust_env=False)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_turns_of_programs_and_of_people_are_counted(tmp_path: Path) -> None:
    with serving(tmp_path) as app, httpx.Client(base_url=app.url, trust_env=False) as http:
        app.script.write(Cost(reused=7, prefilled=5), Say("Paris."))
        say(http, "Hello")
        session_id = SessionId("person", "chat")
        app.engine.open_session(session_id)

        async def talk() -> None:
            async for _ in app.engine.chat(session_id, "Hello"):
                pass

        asyncio.run(talk())
        http.post(CHAT, json=asked("Hello", n=7))
        http.get("/v1/unknown/thing")
        told = metrics(app.url)
    assert told["warmchat_turns_total", "stop"] == 2
    assert told["warmchat_prompt_tokens_total", "memory"] >= 7
    assert told["warmchat_prompt_tokens_total", "computed"] > 5
    assert told["warmchat_generated_tokens_total",] > 7
    assert told["warmchat_requests_total", CHAT, "200"] == 1
    assert told["warmchat_requests_total", CHAT, "400"] == 1
    assert told["warmchat_refusals_total", "invalid_value"] == 1
    assert told["warmchat_ttft_seconds_count",] == 2
    assert told["warmchat_request_seconds_count",] == 3
    assert told["warmchat_sessions",] == 2
    assert told["warmchat_kv_blocks", "free"] > 0
    assert told["warmchat_requests_running",] == 0
    assert told["warmchat_build_info", "f32", "scripted-model"] == 1
    assert not any("unknown" in str(key) for key in told), "others choose no names"


def test_metrics_are_for_this_machine_or_for_a_token(tmp_path: Path) -> None:
    key, line = new_key("anna")
    file = tmp_path / "keys.txt"
    file.write_text(line)
    with serving(tmp_path, "--metrics-token", "geheim", "--api-key-file", str(file)) as app:
        assert metrics(app.url)
        elsewhere = {"x-forwarded-for": "192.0.2.7"}
        for headers in (elsewhere, {**elsewhere, "authorization": f"Bearer {key}"}):
            response = httpx.get(f"{app.url}/metrics", headers=headers, trust_env=False)
            assert response.status_code == 403
        assert metrics(app.url, **elsewhere, authorization="Bearer geheim")


def test_the_access_log_has_a_line_for_each_request_and_nothing_of_what_was_said(
    tmp_path: Path,
) -> None:
    file = tmp_path / "access.log"
    with (
        serving(tmp_path / "data", "--access-log", str(file)) as app,
        httpx.Client(base_url=app.url, trust_env=False) as http,
    ):
        app.script.write(Cost(reused=7, prefilled=5), Say("A secret answer"))
        http.post(CHAT, json=asked("A secret"), headers={"x-request-id": "mine"})
        http.post(CHAT, json=asked("A secret", temperature=-1))
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    told = {"id": "mine", "owner": "api:", "method": "POST", "path": CHAT, "status": 200}
    told |= {"prompt_tokens": 12, "cached_tokens": 7, "completion_tokens": 16}
    assert told.items() <= first.items()
    assert first["seconds"] >= first["ttft_s"] >= 0
    assert (second["status"], second["code"]) == (400, "invalid_value")
    assert "secret" not in file.read_text()


def test_a_key_that_asks_for_too_much_is_told_when_to_come_again(tmp_path: Path) -> None:
    key, line = new_key("anna")
    file = tmp_path / "keys.txt"
    file.write_text(line)
    limits = ["--max-requests-per-key", "1", "--max-tokens-per-minute", "100"]
    headers = {"x-api-key": key}
    with (
        serving(tmp_path, *limits, "--api-key-file", str(file)) as app,
        httpx.Client(
            base_url=app.url, headers=headers, timeout=PATIENCE_S, trust_env=False
        ) as http,
        ThreadPoolExecutor() as pool,
    ):
        app.script.holds = True
        running = pool.submit(say, http, "Hello")
        wait_until_running(app)
        for stream in (False, True):
            refused = http.post(CHAT, json=asked("Hello", stream=stream))
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert "1 replies at once" in refused.json()["error"]["message"]
        app.script.write(Cost(prefilled=500), Say("Much"))
        app.script.reset()
        assert running.result(PATIENCE_S)
        app.script.write(Cost(prefilled=500), Say("Much"))
        say(http, "Something long")
        refused = http.post(CHAT, json=asked("Hello"))
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 60


@pytest.mark.parametrize("path", ["/metrics", "/health"])
def test_pages_of_other_sites_read_no_metrics(app: ScriptedApp, path: str) -> None:
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    response = httpx.get(app.url + path, headers=headers, trust_env=False)
    assert response.status_code == (403 if path == "/metrics" else 200)


def test_a_name_that_leads_here_reads_no_metrics_by_a_proxys_word(app: ScriptedApp) -> None:
    """A page of that name may send X-Forwarded-Host, and its browser is as near as a proxy."""
    headers = {"host": "evil.example", "x-forwarded-host": "localhost"}
    for path in ("/metrics", "/v1/models"):
        assert httpx.get(app.url + path, headers=headers, trust_env=False).status_code == 403


def test_pages_that_may_use_the_api_with_a_key_read_no_metrics_without(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(new_key("anna")[1])
    everybody = ["--api-key-file", str(file), "--cors-origin", "*", "--metrics-token", ""]
    with serving(tmp_path, *everybody) as app:
        for headers in ({"origin": "https://evil.example"}, {"x-forwarded-for": "192.0.2.7"}):
            response = httpx.get(f"{app.url}/metrics", headers=headers, trust_env=False)
            assert response.status_code == 403, headers
