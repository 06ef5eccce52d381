"""A terminal that knows few characters gets what it can show, and no traceback."""

import os
import subprocess
import sys

import pytest

from tests import ROOT


@pytest.mark.parametrize("charset", ["cp1252", "ascii"])
def test_a_name_that_the_terminal_cannot_show_is_no_traceback(charset: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "export", "暖聊/模型", "--out", "/nowhere"],
        cwd=ROOT, capture_output=True, check=False, timeout=120,
        env={**os.environ, "PYTHONIOENCODING": f"{charset}:strict", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert run.returncode == 1
    assert b"Traceback" not in run.stderr
    assert b"export: ??/??" in run.stderr


@pytest.mark.parametrize("charset", ["cp1252"])
def test_an_answer_that_the_terminal_cannot_show_is_no_traceback(charset: str) -> None:
    program = (
        "import sys, app\n"
        "sys.argv = ['app.py', '--port', 'none']\n"
        "try: app.main()\n"
        "except SystemExit: print('暖: ok')"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=120,
        env={**os.environ, "PYTHONIOENCODING": f"{charset}:strict"},
    )  # fmt: skip
    assert run.stdout.startswith(b"?: ok"), run.stderr
