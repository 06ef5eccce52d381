"""`python app.py` in a process of its own, with the real model."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests import ROOT
from tests.scripted.app import free_port

READY_WITHIN_S = 180.0
LOOK_S = 0.1


@dataclass
class RealApp:
    """A program that runs, and can be started again at its address, over its folder."""

    model: str
    data_dir: Path
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    program: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "app.py", "--model", self.model, "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), "--kv-budget", "256MiB", *self.arguments]
        self.program = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)

    def health(self) -> tuple[int, dict[str, Any]]:
        """What /healthz answers; 0 while nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            return error.code, json.load(error)
        except OSError:  # not there yet, or too busy to answer
            return 0, {}

    def wait_for(self, *codes: int) -> None:
        """Wait until /healthz answers with one of these codes."""
        deadline = time.monotonic() + READY_WITHIN_S
        while self.health()[0] not in codes:
            assert self.program.poll() is None, "the app ended"
            assert time.monotonic() < deadline, self.health()
            time.sleep(LOOK_S)

    def kill(self) -> None:
        self.program.kill()
        self.program.wait()


@contextmanager
def running(model: str | Path, data_dir: Path, *arguments: str) -> Iterator[RealApp]:
    """The program, ready."""
    app = RealApp(str(model), data_dir, arguments)
    app.start()
    try:
        app.wait_for(200)
        yield app
    finally:
        app.kill()
