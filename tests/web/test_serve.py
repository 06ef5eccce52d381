"""The program's edges, as a shell sees them."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ROOT
from tests.scripted.app import free_port
from web.serve import check_address

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


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(OSError, match="assign"):
        check_address("192.0.2.1", 7860)


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


def test_a_question_in_the_terminal_is_answered(smollm2_dir: Path) -> None:
    question = "What is the capital of France?"
    command = [*APP, "--model", str(smollm2_dir), "--ask", question, "--kv-budget", "64MiB"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert run.stdout.strip()
    figures = re.search(r"reused (\d+).* · prefilled (\d+) ", run.stderr)
    assert figures is not None
    assert int(figures[1]) + int(figures[2]) > 30
