"""The peers' side of the conversation with the benchmark: one JSON line in, one out.

Runs in every peer's environment, so it uses the standard library only. Does not know any peer. A
driver has the methods start, turn, crowd and peak; what a library prints goes to the error stream,
so that it cannot be taken for an answer.
"""

import json
import os
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

Messages = list[dict[str, str]]
Answer = dict[str, Any]
COMMANDS = ("start", "turn", "crowd", "peak")


class Driver(Protocol):
    """One peer. Each command's arguments are the request's other fields."""

    @property
    def start(self) -> Callable[..., Answer]:
        """(model, gguf, threads, folder, precision): load; what was loaded and how, in words."""

    @property
    def turn(self) -> Callable[..., Answer]:
        """(messages, max_tokens, conversation): reply to the last message, which is the user's.

        The reply is greedy and has exactly `max_tokens` tokens; a TokenClock makes the answer.
        """

    @property
    def crowd(self) -> Callable[..., Answer]:
        """(people, max_tokens): all at once, each saying their messages in turn: `crowd_answer`."""

    @property
    def peak(self) -> Callable[..., Answer]:
        """{"bytes": the most memory that was ever resident}."""


@dataclass(slots=True)
class TokenClock:
    """When a turn began, and when each of its pieces came out."""

    began_at: float = field(default_factory=time.perf_counter)
    times: list[float] = field(default_factory=list)

    def piece(self) -> None:
        """A token, or a piece of text, has come."""
        self.times.append(time.perf_counter())

    def answer(self, text: str, num_tokens: int, prompt_tokens: int | None) -> Answer:
        """ttft_s; itl_s: mean time between the reply's tokens; and what was said."""
        assert self.times, "nothing was said"
        gaps = max(num_tokens - 1, 1)
        return {
            "ttft_s": self.times[0] - self.began_at,
            "itl_s": (self.times[-1] - self.times[0]) / gaps,
            "tokens": num_tokens,
            "prompt_tokens": prompt_tokens,
            "text": text,
        }


def crowd_answer(turns: list[Answer], wall_s: float) -> Answer:
    """What a crowd's turns add up to; wall_s: from the first request to the last token."""
    tokens = sum(turn["tokens"] for turn in turns)
    return {
        "tokens": tokens,
        "wall_s": wall_s,
        "tokens_per_s": tokens / wall_s,
        "ttft_s": [turn["ttft_s"] for turn in turns],
        "texts": [turn["text"] for turn in turns],
    }


def say_all(turn: Callable[[Messages], Answer], said: list[str]) -> list[Answer]:
    """One person's turns, one after another."""
    messages: Messages = []
    answers = []
    for text in said:
        messages.append({"role": "user", "content": text})
        answers.append(turn(messages))
        messages.append({"role": "assistant", "content": answers[-1]["text"]})
    return answers


class OneByOne(ABC):
    """The parts of a driver that replies to one person after another, in this process."""

    @abstractmethod
    def turn(self, messages: Messages, max_tokens: int, **_given: Any) -> Answer:
        """One reply; see Driver."""

    def crowd(self, people: list[list[str]], max_tokens: int) -> Answer:
        """One after another."""
        began_at = time.perf_counter()
        turns = []
        for said in people:
            turns += say_all(lambda messages: self.turn(messages, max_tokens), said)
        return crowd_answer(turns, time.perf_counter() - began_at)

    def peak(self) -> Answer:
        """Of this process."""
        return {"bytes": peak_bytes()}


def peak_bytes(pid: int | str = "self") -> int:
    """Linux's VmHWM of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no VmHWM")


def reply_to(driver: Driver, line: str) -> Answer:
    """Do what one line asks for; whatever goes wrong is said, not raised."""
    try:
        request = json.loads(line)
        name = request.pop("do")
        assert name in COMMANDS, f"{name!r} is not a command"
        return {"ok": getattr(driver, name)(**request)}
    except Exception as error:  # noqa: BLE001  (the benchmark decides what to do about it)
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def serve(driver: Driver) -> None:
    """Answer lines until there are no more."""
    answers = _private_stdout()
    for line in sys.stdin:
        print(json.dumps(reply_to(driver, line)), file=answers, flush=True)


def _private_stdout() -> TextIO:
    """The real standard output; everybody else's becomes the error stream."""
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return private
