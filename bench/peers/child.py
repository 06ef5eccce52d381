"""A driver as a child process, and the peers that there are.

Owns: starting, asking and ending drivers. Does not know what is measured. A peer that is not set up
raises PeerAbsent with the command that sets it up; one that fails says so and is not asked again.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENVS = Path("bench/envs")
Answer = dict[str, Any]


class PeerAbsent(Exception):
    """The peer cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Something to compare. chat, crowd: driver commands for one conversation, for many at once.

    is_slow: it serves a crowd one by one, which is measured once only. env: None for our own.
    """

    name: str
    env: str | None
    chat: tuple[str, ...]
    crowd: tuple[str, ...]
    is_slow: bool = False

    def python(self) -> str:
        """The interpreter for the drivers. Raises PeerAbsent."""
        if self.env is not None and not (ENVS / self.env / ".ready").exists():
            raise PeerAbsent(f"not set up; run bench/setup_peers.sh {self.env}")
        own = None if self.env is None else ENVS / self.env / "bin" / "python"
        return str(own) if own is not None and own.exists() else sys.executable


_GENAI = "bench.peers.genai"
OURS = Peer("ours", None, ("bench.peers.ours",), ("bench.peers.ours",))
PEERS = (
    OURS,
    Peer("genai", "genai", (_GENAI, "llm"), (_GENAI, "batching")),
    Peer("optimum", "optimum", *(("bench.peers.optimum",),) * 2, is_slow=True),
    Peer("llamacpp", "llamacpp", *(("bench.peers.llamacpp",),) * 2),
)


class Child:
    """One driver. Errors are PeerAbsent."""

    def __init__(self, python: str, command: tuple[str, ...], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._child = subprocess.Popen(
                [python, "-m", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, do: str, **given: Any) -> Answer:
        """One command's answer."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            print(json.dumps({"do": do, **given}), file=self._child.stdin, flush=True)
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""
        return understood(line, self._last_words())

    def close(self) -> None:
        """Let it end in its own time, which for our engine is when everything is on disk."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(30)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def understood(line: str, last_words: str) -> Answer:
    """The answer in a driver's line; raises PeerAbsent where there is none."""
    if not line:
        raise PeerAbsent(f"its process ended: {last_words}")
    answer: Answer = json.loads(line)
    if "error" in answer:
        raise PeerAbsent(f"it failed: {answer['error']}")
    ok: Answer = answer["ok"]
    return ok
