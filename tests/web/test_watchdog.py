"""An engine that stands still does not stay so."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests import ROOT
from tests.scripted.engine import ScriptedEngine
from web import watchdog
from web.options import parse_options
from web.startup import Startup

LIVES = """
import os, sys, threading
from pathlib import Path
from tests.scripted.engine import ScriptedEngine
from web import watchdog
from web.options import parse_options
from web.startup import Startup
engine = ScriptedEngine(Path(sys.argv[1]))
restarts = watchdog.restarts(os.environ)
startup = Startup(parse_options([], environ={}), lambda *_: engine.start(), restarts).start()
startup._thread.join()
print("life", startup.restarts, flush=True)
engine._owner.post(lambda _core: threading.Event().wait())
watchdog.STANDS_STILL_S = 0.01
assert not watchdog.wait(threading.Event(), startup)
watchdog.start_again(startup)
print("enough", flush=True)
os._exit(1)
"""


def test_the_program_begins_anew_but_not_for_ever(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIVES, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stdout.splitlines() == ["life 0", "life 1", "life 2", "life 3", "enough"]
    assert "stands still" in run.stderr
    assert "in <lambda>" in run.stderr, "the log says where it stands"


def test_one_that_works_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PERIOD_S", 0.001)
    engine, over = ScriptedEngine(tmp_path), threading.Event()
    startup = Startup(parse_options([], environ={}), lambda *_: engine.start()).start()
    ends: list[bool] = []
    waiting = threading.Thread(target=lambda: ends.append(watchdog.wait(over, startup)))
    waiting.start()
    engine.wait_ready(60)
    engine._owner.post(lambda _core: time.sleep(0.05))  # a long step, but one that ends
    over.set()
    waiting.join()
    assert ends == [True]
    startup.close(60)


def test_restarts_of_long_ago_do_not_count() -> None:
    now = time.time()
    said = f"{now - 2 * watchdog.WINDOW_S:.0f} {now - 5:.0f} {now + 900:.0f} nonsense"
    assert watchdog.restarts({"WARMCHAT_STARTED_AGAIN_AT": said}) == 1
    assert watchdog.restarts({}) == 0


def test_a_restart_late_in_a_second_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    environ: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environ)
    monkeypatch.setattr("os.execv", lambda *_: None)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.7)
    watchdog.start_again(Startup(parse_options([], environ={})))
    assert watchdog.restarts(environ) == 1
