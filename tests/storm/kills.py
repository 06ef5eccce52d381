"""kill -9 and SIGTERM at random moments, with an oracle of what people were told.

    python -m tests.storm kills --cycles 1000 --seed 7
    python -m tests.storm kills --cycles 200 --app

With `--app` it is the server that is ended, and those who are told are programs at its endpoints. Behind each end the files are read: every message whose answer was told is there once, an answer that was
told to be over is there whole, and one that was cut begins as it was told. Then a conversation goes on
twice, with the KV that is on disk and without any: it says the same.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer

from engine.conversations.session import Session
from engine.metrics import KVSource
from engine.scheduling.sampling import SamplingParams
from tests.engine.rig import make_stored_rig
from tests.storm import app_talker
from tests.storm import talker as engine_talker
from tests.storm.talker import OPTIONS

CYCLES_OF_A_FOLDER = 25
SHORT = SamplingParams(temperature=0, max_tokens=12)


@dataclass(slots=True)
class Told:
    """What was told of one message's answer. reason: of its end, if that was told."""

    text: str = ""
    reason: str | None = None


@dataclass(slots=True)
class Storm:
    """told: by conversation and message, since the folder is new."""

    dice: random.Random
    talker: str
    names: Sequence[str]
    longest_s: float
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    told: dict[tuple[str, str], Told] = field(default_factory=dict)

    def cycle(self, folder: Path, kind: signal.Signals) -> None:
        """One life of the talker, and what it left."""
        self._live(folder, kind)
        again, bare = folder.with_name("again"), folder.with_name("bare")
        for copy in (again, bare):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)
        shutil.rmtree(bare / "kv", ignore_errors=True)
        self._check(again, bare)

    def _live(self, folder: Path, kind: signal.Signals) -> None:
        command = [
            sys.executable,
            "-m",
            self.talker,
            str(folder),
            f"{self.dice.randrange(10**9)}",
        ]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        process = json.loads(child.stdout.readline())["began"]
        killer = Timer(self.longest_s * self.dice.random() ** 2, os.kill, (process, kind))
        killer.start()
        ends = [status for line in child.stdout if (status := self._take(line)) is not None]
        self.counts[kind.name] += 1
        killer.cancel()  # the number of a process that ended by itself may be another's
        status = [*ends, child.wait()][0]
        if status != (-signal.SIGKILL if kind is signal.SIGKILL else 0):
            self.faults.append(f"it ended with {status}")
        killer.join()

    def _take(self, raw: str) -> int | None:
        """Of a line that tells of an end, the status."""
        if not raw.endswith("\n"):  # cut by the kill: nobody was told
            return None
        line = json.loads(raw)
        match line:
            case {"asked": [name, message]}:
                self.told[name, message] = Told()
            case {"said": [name, message], "text": text}:
                self.told[name, message].text += text
            case {"over": [name, message], "reason": reason}:
                self.told[name, message].reason = reason
                self.counts["told to be over"] += 1
            case {"ended": status}:
                return int(status)
        return None

    def _check(self, again: Path, bare: Path) -> None:
        rig, alone = (make_stored_rig(folder, **OPTIONS) for folder in (again, bare))
        for name in self.names:
            self._check_texts(name, rig.session(name))
        talked = [name for name in self.names if rig.session(name).messages]
        for name in self.dice.sample(talked, min(2, len(talked))):
            try:
                asked, fresh = (r.chat("And now?", name, SHORT) for r in (rig, alone))
            except AssertionError as stall:
                self._keep(again, f"{name} does not go on: {stall}")
                continue
            self.counts["went on"] += 1
            self.counts["with KV from disk"] += asked.figures.source is KVSource.DISK
            if asked.text != fresh.text:
                self.faults.append(f"{name} goes on otherwise: {asked.text!r}, {fresh.text!r}")
        rig.stop()
        alone.stop()

    def _keep(self, folder: Path, fault: str) -> None:
        """The files of a fault, to be looked at."""
        kept = tempfile.mkdtemp(prefix="storm-")
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        self.faults.append(f"{fault} (its files: {kept})")

    def _check_texts(self, name: str, session: Session) -> None:
        nodes = session.conversation.nodes
        for (whose, message), told in self.told.items():
            if whose != name:
                continue
            found = [node for node in nodes.values() if node.content == message]
            was_answered = bool(told.text or told.reason)
            if len(found) > 1 or (was_answered and not found):
                self.faults.append(f"{message!r} is there {len(found)} times")
            if not found or not was_answered:
                continue
            replies = [node for node in nodes.values() if node.parent == found[0].id]
            if len(replies) != 1:
                self.faults.append(f"{message!r} has {len(replies)} answers")
                continue
            self._check_reply(message, told, replies[0].content, replies[0].status)

    def _check_reply(self, message: str, told: Told, content: str, status: str) -> None:
        self.counts["answers looked at"] += 1
        if told.reason in ("stop", "length"):
            if (content, status) != (told.text, "complete"):
                self.faults.append(f"{message!r}: told {told.text!r}, kept {content!r}, {status}")
        elif told.reason == "over":
            if content != told.text:
                self.faults.append(f"{message!r}: told {told.text!r}, kept {content!r}")
        elif not (told.text.startswith(content) or content.startswith(told.text)):
            self.faults.append(f"{message!r}: told {told.text!r}, kept {content!r}")


def main(argv: list[str]) -> int:
    """Exit status 1 if anything was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm kills", description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--app", action="store_true", help="end the server, not the engine alone")
    options = parser.parse_args(argv)
    talker = app_talker if options.app else engine_talker
    storm = Storm(random.Random(options.seed), talker.__name__, talker.NAMES, talker.LONGEST_S)
    try:
        _blow(storm, options.cycles)
    finally:  # Ctrl-C ends it with what there is
        print(*storm.faults, json.dumps({**storm.counts, "faults": len(storm.faults)}), sep="\n")
    return 1 if storm.faults else 0


def _blow(storm: Storm, cycles: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        for number in range(cycles):
            folder = Path(place) / f"{number // CYCLES_OF_A_FOLDER}"
            if number % CYCLES_OF_A_FOLDER == 0:
                folder.mkdir()
                storm.told.clear()
            kind = storm.dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            storm.cycle(folder, kind)
