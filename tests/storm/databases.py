"""Accidents of the conversations' database, while it is used and between two runs.

A round is two runs of an engine over the fake model. During the first another program may hold the
database, or it may find the disk full; it ends cleanly or as a kill ends it; then its file may be cut,
changed or made by a newer version. Oracle: what was acknowledged as stored is there in the second run, or
that run says at its start that something was lost; both go on; neither raises.

What SQLite cannot see is counted as `unseen`: it keeps no checksum of what a row says, so a changed byte
within a text is another text; and a log that ends sooner is the log of a program that was killed sooner.
Only the accidents of UNSEEN may cause that.
"""

import argparse
import json
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from engine.config import EngineConfig
from engine.conversations import Home, SessionTable, open_journal, store_database, writer
from engine.scheduling import SamplingParams
from tests.engine.fakes import endless
from tests.engine.rig import Asked, Rig, make_disk, make_rig, session_id

FILE = "warmchat.db"
NAMES = ("one", "two", "three")
PATIENCE_S = 0.05
FLUSH_S = 60.0

During = Callable[[Path, Rig, Random], Iterator[None]]
Afterwards = Callable[[Path, Random], None]


@dataclass
class Round:
    """What one round has said. acknowledged: texts that were said to be stored, by conversation."""

    random: Random
    folder: Path
    counts: Counter[str]
    acknowledged: dict[str, list[str]] = field(default_factory=lambda: {n: [] for n in NAMES})
    waiting: list[tuple[str, str, Asked]] = field(default_factory=list)

    def talk(self, rig: Rig, num_turns: int) -> None:
        """So many turns, one after another, each in some conversation."""
        for _ in range(num_turns):
            name = self.random.choice(NAMES)
            message = f"{self.random.getrandbits(40)} " + "word " * self.random.randrange(300)
            params = SamplingParams(temperature=0, max_tokens=self.random.randrange(1, 30))
            asked = rig.chat(message, name, params)
            self.counts["turns"] += 1
            if asked.end.is_stored:
                self.acknowledged[name] += [message, asked.text]
            else:
                self.counts["told late"] += 1
                self.waiting.append((name, message, asked))

    def all_is_stored(self, rig: Rig) -> None:
        """What waited is stored by now."""
        rig.home.journal.flush(FLUSH_S)
        for name, message, asked in self.waiting:
            self.acknowledged[name] += [message, asked.text]
        self.waiting.clear()


def start(folder: Path) -> Rig:
    """A run of the program, as `open_journal` begins it."""
    journal = open_journal(EngineConfig(model_dir=folder, data_dir=folder))
    home = Home(SessionTable(journal.load), journal, lambda: None)
    return make_rig(home=home, disk=make_disk(folder / "kv"), num_blocks=4096, choose=endless)


@contextmanager
def locked(folder: Path, _rig: Rig, random: Random) -> Iterator[None]:
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as other:
        other.execute(f"BEGIN {random.choice(['IMMEDIATE', 'EXCLUSIVE'])}")
        yield


@contextmanager
def full(_folder: Path, rig: Rig, _random: Random) -> Iterator[None]:
    store = rig.home.journal.store
    assert store is not None
    database = store._database
    with database._writing:
        (pages,) = database._writer.execute("PRAGMA page_count").fetchone()
        database._writer.execute(f"PRAGMA max_page_count = {pages}")
    yield
    with database._writing:
        database._writer.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def moved(folder: Path, _rig: Rig, _random: Random) -> Iterator[None]:
    (folder / FILE).rename(folder / "away.db")
    yield
    (folder / "away.db").rename(folder / FILE)


def cut(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes()[: random.randrange(path.stat().st_size)])


def cut_log(path: Path, random: Random) -> None:
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        cut(log, random)


def bytes_changed(path: Path, random: Random) -> None:
    raw = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 10, 1000])):
        raw[random.randrange(len(raw))] = random.randrange(256)
    path.write_bytes(raw)


def page_changed(path: Path, random: Random) -> None:
    raw = bytearray(path.read_bytes())
    begin = random.randrange(0, len(raw), 4096)
    raw[begin : begin + 4096] = random.randbytes(4096)
    path.write_bytes(raw)


def newer(path: Path, _random: Random) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(store_database.MIGRATIONS) + 1}")


DURING = {"quiet": None, "locked": locked, "full": full, "moved": moved}
AFTERWARDS: dict[str, Afterwards | None] = {
    "untouched": None,
    "cut": cut,
    "log cut": cut_log,
    "bytes": bytes_changed,
    "page": page_changed,
    "newer": newer,
}


UNSEEN = {"bytes", "log cut"}


def first_run(round_: Round, during: str) -> Path:
    """Talk, with an accident; returns the folder as the end leaves it."""
    rig, random = start(round_.folder), round_.random
    round_.talk(rig, random.randrange(1, 6))
    accident = DURING[during]
    with accident(round_.folder, rig, random) if accident else nullcontext():
        round_.talk(rig, random.randrange(1, 6))
        lasts = during == "locked" and random.random() < 0.2
        if (
            lasts
        ):  # the other program outlives this one: what is not stored is lost, and was said to be
            rig.stop()
    if lasts:
        round_.counts["lost and told"] += len(round_.waiting)
        return round_.folder
    round_.all_is_stored(rig)
    round_.talk(rig, random.randrange(3))
    if random.random() < 0.5:
        rig.stop()
        round_.all_is_stored(rig)
        return round_.folder
    round_.all_is_stored(rig)
    killed = round_.folder.with_name("killed")
    shutil.copytree(round_.folder, killed)
    rig.stop()
    return killed


def second_run(round_: Round, folder: Path, afterwards: str) -> str:
    """Start over what the accident left; what became of what was acknowledged."""
    rig = start(folder)
    storage = rig.home.journal.storage
    is_told = storage.trouble is not None or storage.recovery is not None
    missing = 0
    for name in NAMES:
        there = Counter(node.content for node in rig.session(name).conversation.nodes.values())
        missing += sum((Counter(round_.acknowledged[name]) - there).values())
        asked = rig.chat("Are you there?", name, SamplingParams(temperature=0, max_tokens=3))
        rig.home.journal.flush(FLUSH_S)
        if (store := rig.home.journal.store) is not None:
            stored = store.load(*session_id(name))
            assert stored is not None
            assert stored.nodes[max(stored.nodes)].content == asked.text, "a new turn is not stored"
    rig.stop()
    if not missing:
        return "kept"
    if is_told:
        return "lost and told"
    assert afterwards in UNSEEN, f"{missing} acknowledged messages are lost without a word"
    return "unseen"


def one_round(seed: int, number: int, counts: Counter[str]) -> None:
    random = Random(f"{seed}/{number}")
    during, afterwards = random.choice([*DURING]), random.choice([*AFTERWARDS])
    root = Path(tempfile.mkdtemp())
    try:
        (root / "data").mkdir()
        round_ = Round(random, root / "data", counts)
        folder = first_run(round_, during)
        accident = AFTERWARDS[afterwards]
        if accident is not None:
            accident(folder / FILE, random)
        counts[f"during: {during}"] += 1
        counts[f"after: {afterwards}: {second_run(round_, folder, afterwards)}"] += 1
    except BaseException:
        sys.stderr.write(f"seed {seed}, round {number}: {during}, then {afterwards}\n")
        raise
    finally:
        shutil.rmtree(root)


def storm(rounds: int, seed: int) -> Counter[str]:
    """So many rounds; what happened in them. Raises what a round that went wrong raised."""
    counts: Counter[str] = Counter()
    for number in range(rounds):
        one_round(seed, number, counts)
    return counts


def main(arguments: Sequence[str]) -> int:
    """Print the counts as JSON."""
    parser = argparse.ArgumentParser(prog="tests.storm databases", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    writer.PATIENCE_S = PATIENCE_S
    counts = storm(options.rounds, options.seed)
    sys.stdout.write(json.dumps(dict(sorted(counts.items())), indent=2) + "\n")
    return 0
