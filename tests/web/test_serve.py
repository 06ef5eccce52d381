"""The program's edges, as a shell sees them."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from gradio.queueing import Queue
from gradio_client import Client

from tests import ROOT
from tests.scripted.app import free_port, serving
from tests.scripted.engine import ScriptedEngine
from tests.web.test_listening import has_ipv6
from web.options import parse_options
from web.startup import Startup

APP = [sys.executable, "app.py"]


@pytest.fixture
def taken_port() -> object:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_gets_a_sentence_before_anything_is_loaded(
    taken_port: int, tmp_path: Path
) -> None:
    command = [*APP, "--port", str(taken_port), "--data-dir", str(tmp_path / "data")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "already in use; choose another --host or --port." in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_machine_too_busy_to_answer_in_time_starts_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> NoReturn:
        raise httpx.ReadTimeout("Nobody answered in time.")

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", late)
    with serving(tmp_path) as app, urllib.request.urlopen(app.url) as page:
        assert "WarmChat" in page.read().decode()


def test_nobody_can_start_the_queue_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[Queue] = []
    start: Callable[[Queue], None] = Queue.start

    def counted(queue: Queue) -> None:
        starts.append(queue)
        start(queue)

    monkeypatch.setattr(Queue, "start", counted)
    with serving(tmp_path) as app:
        urllib.request.urlopen(f"{app.url}/gradio_api/startup-events").close()
    assert len(starts) == 1


START = """
import sys, urllib.request
from pathlib import Path
from tests.scripted.app import free_port, serving
from tests.web.test_listening import has_ipv6
with serving(Path(sys.argv[1])) as app:
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    assert "WarmChat" in ask(app.url).read().decode()
    assert ask(app.url + "/healthz").status == 200
"""


@pytest.mark.parametrize(
    "proxies",
    [
        {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"},
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost,[::1],::1/128,fe80::/10"},
    ],
)
def test_the_page_is_served_whatever_proxy_is_named(
    proxies: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", START, str(tmp_path)]
    environ = {**os.environ, **proxies}
    run = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_page_is_served_where_somebody_else_has_gradios_folder(tmp_path: Path) -> None:
    (tmp_path / "gradio").write_text("Somebody else's: no folder can be made here.")
    command = [sys.executable, "-c", START, str(tmp_path / "data")]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_page_and_programs_find_the_address_that_is_printed(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, "--host", host):
        told = capsys.readouterr().out.split()[-1]
        with urllib.request.urlopen(told) as page:
            assert "WarmChat" in page.read().decode()
        client = Client(told, verbose=False)
        assert "Hello" in client.predict("Hello", api_name="/chat")


def test_a_proxy_that_cannot_be_used_gets_a_sentence_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    command = [*APP, "--port", str(free_port()), "--data-dir", str(tmp_path / "data")]
    environ = {**os.environ, "ALL_PROXY": "socks4://127.0.0.1:9"}
    run = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "begins with http://, https://, socks5:// or socks5h://" in run.stderr
    assert run.stderr.count("\n") == 1


def test_where_storage_is_required_and_there_is_none_the_program_does_not_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "warmchat.db").mkdir()
    command = [*APP, "--storage", "required", "--port", str(free_port())]
    command += ["--data-dir", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "cannot be opened; check that its folder exists and is writable." in run.stderr
    assert "Traceback" not in run.stderr


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the program has installed its handler by now (proc(5), SigCgt)."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_a_signal_during_the_start_ends_the_app_cleanly(smollm2_dir: Path, tmp_path: Path) -> None:
    command = [*APP, "--model", str(smollm2_dir), "--data-dir", str(tmp_path), "--port", "7999"]
    program = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not catches(program.pid, signal.SIGTERM):
        time.sleep(0.05)
    program.send_signal(signal.SIGTERM)
    errors = program.communicate(timeout=30)[1]
    assert program.returncode == 0
    assert "Traceback" not in errors


def test_an_engine_that_does_not_come_to_its_end_is_still_alive(tmp_path: Path) -> None:
    """Python must not end beside it: it would tear a step apart, and abort."""
    may_end = threading.Event()
    engine = ScriptedEngine(tmp_path)
    startup = Startup(parse_options([], environ={}), lambda *_: engine.start()).start()
    startup._thread.join()
    engine._owner.post(lambda _core: may_end.wait())
    startup.close(0.0)
    assert startup.is_alive
    may_end.set()
    startup.close(30.0)
    assert not startup.is_alive


def test_a_question_in_the_terminal_is_answered(smollm2_dir: Path) -> None:
    question = "What is the capital of France?"
    command = [*APP, "--model", str(smollm2_dir), "--ask", question, "--kv-budget", "64MiB"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert run.stdout.strip()
    figures = re.search(r"reused (\d+).* · new (\d+) ", run.stderr)
    assert figures is not None
    assert int(figures[1]) + int(figures[2]) > 30


def test_the_page_is_compressed(tmp_path: Path) -> None:
    with serving(tmp_path) as app:
        page = httpx.get(app.url)
        plain = httpx.get(app.url, headers={"accept-encoding": "identity"})
        assert page.headers["content-encoding"] == "gzip"
        assert page.num_bytes_downloaded * 5 < plain.num_bytes_downloaded
