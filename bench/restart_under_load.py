"""What a restart costs 20 conversations on a machine whose cores are taken by other work.

The real app is asked by four people at once for two minutes, beside four busy processes for each
core, then gets SIGTERM and is started again. prefilled_again: tokens of all conversations that
had to be read again by their next turn. said_in_the_last_minute: tokens of the turns that ended
within a minute of SIGTERM, which is the most that may be lost; those that were prefilled or made.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from gradio_client import Client

from bench.busy import busy

CONVERSATIONS = 20
AT_ONCE = 4
BUSY_PER_CORE = 4
LOAD_S = 120.0
START_S = 900.0
END_S = 10.0
FIRST = "Here is a list of what I saw today. " + "A red house beside a green tree. " * 30
MORE = "Go on with what you said."
SETTINGS = {"max_tokens": 24, "temperature": 0}


@dataclass(slots=True)
class Ended:
    """A turn that was answered. at: time.monotonic()."""

    at: float
    prefilled: int
    generated: int


@dataclass(slots=True)
class App:
    """`python app.py` on a data directory."""

    model: Path
    data: Path
    port: int
    process: subprocess.Popen[str] = field(init=False)
    said: str = ""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once turns are taken."""
        options = {"--model": self.model, "--data-dir": self.data, "--port": self.port}
        command = [
            sys.executable,
            "app.py",
            *(str(part) for pair in options.items() for part in pair),
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + START_S
        while self._phase() != "ready":
            if self.process.poll() is not None:
                raise RuntimeError(f"app.py ended: {self.process.communicate()[1]}")
            if time.monotonic() > deadline:
                raise TimeoutError("app.py does not become ready")
            time.sleep(0.2)

    def stop(self) -> float:
        """SIGTERM; the seconds that its end took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=END_S)
        self.said += said
        return time.monotonic() - began

    def _phase(self) -> Any:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5, trust_env=False).json()["status"]
        except (httpx.HTTPError, ValueError):
            return None

    def kill(self) -> None:
        """If it still runs, which is only behind a failure."""
        self.process.kill()
        self.process.wait()


def turn(client: Client, conversation: str, message: str) -> Ended:
    """One answer, waited for."""
    client.predict(message, conversation, SETTINGS, api_name="/chat")
    figures = client.predict(conversation, api_name="/figures")
    return Ended(time.monotonic(), figures["prefilled_tokens"], figures["generated_tokens"])


def talk(url: str, names: list[str], until: float, ended: list[Ended], after: list[int]) -> None:
    """One person's conversations in turn, until the time is over.

    after: what the turns prefilled that had all before them in memory.
    """
    client = Client(url, verbose=False)
    ended += [turn(client, name, FIRST) for name in names]
    while time.monotonic() < until:
        for name in names:
            ended.append(turn(client, name, MORE))
            after.append(ended[-1].prefilled)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(model_dir: Path) -> dict[str, Any]:
    """The tokens that were read again, and those of the last minute."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(TemporaryDirectory()))
        app = App(model_dir, data, _free_port())
        app.start()
        stack.callback(app.kill)
        stack.enter_context(busy(BUSY_PER_CORE * (os.cpu_count() or 1)))
        client = Client(app.url, verbose=False)
        names = [client.predict(api_name="/new_conversation") for _ in range(CONVERSATIONS)]
        ended, after = _load(app.url, names)
        told_at = time.monotonic()
        end_s = app.stop()
        app.start()
        client = Client(app.url, verbose=False)
        expected = min(after)
        again = [max(turn(client, name, MORE).prefilled - expected, 0) for name in names]
        app.stop()
    recent = [e for e in ended if e.at > told_at - 60]
    result = {
        "prefilled_again": sum(again),
        "said_in_the_last_minute": sum(e.prefilled + e.generated for e in recent),
        "most_of_one_conversation": max(again),
        "turns": len(ended),
        "end_s": round(end_s, 2),
        "terminate_called": "terminate called" in app.said,
    }
    for name, value in result.items():
        print(f"{name:>26}  {value}")
    return result


def _load(url: str, names: list[str]) -> tuple[list[Ended], list[int]]:
    ended: list[Ended] = []
    after: list[int] = []
    until = time.monotonic() + LOAD_S
    askers = [
        threading.Thread(target=talk, args=(url, names[i::AT_ONCE], until, ended, after))
        for i in range(AT_ONCE)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    return ended, after
