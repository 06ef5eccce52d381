"""Damaged snapshots and export files: refused or harmless, never a wrong word, never a crash.

    python -m tests.storm damage --snapshots 1000 --exports 30000 --seed 7

Over the fake model, which stores in its KV what it was given and says what it finds there: any byte
that is not as it was would show in the next answer.
"""

import argparse
import io
import json
import random
import shutil
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from engine.errors import EngineError
from engine.scheduling.sampling import SamplingParams
from tests.engine.fakes import endless
from tests.engine.rig import Rig, make_rig, make_stored_rig

SAID = ("A first message that is rather long", "A second one, 中文 as well")
NEXT = "And now?"
SHORT = SamplingParams(temperature=0, max_tokens=9)
PIECES = (b"\0", b"\xff" * 8, b"[" * 3000, b"1e999", b"NaN", b'"', b"PK\x03\x04", b"{}", b"-1")


def main(argv: list[str]) -> int:
    """Both kinds; exit status 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm damage", description=__doc__)
    parser.add_argument("--snapshots", type=int, default=1000)
    parser.add_argument("--exports", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(argv)
    dice = random.Random(options.seed)
    counts = {
        "snapshots": damage_snapshots(dice, options.snapshots),
        "exports": damage_exports(dice, options.exports),
    }
    print(json.dumps(counts))
    return 1 if any(kind["wrong"] or kind["crashed"] for kind in counts.values()) else 0


def damaged(raw: bytes, dice: random.Random) -> bytes:
    """The bytes with one to four random changes of random kinds."""
    changed = bytearray(raw)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed) + 1)
        length = dice.choice([1, 1, 2, 8, 64, 1024])
        match dice.randrange(6):
            case 0:  # bits
                for place in range(at, min(at + length, len(changed))):
                    changed[place] ^= 1 << dice.randrange(8)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = dice.choice(PIECES)
            case 3:
                changed[at : at + length] = dice.choice(PIECES)
            case 4:  # a piece from elsewhere
                begin = dice.randrange(len(changed) + 1)
                changed[at : at + length] = changed[begin : begin + length]
            case 5:
                del changed[at:]
    return bytes(changed)


def damage_snapshots(dice: random.Random, count: int) -> Counter[str]:
    """Each in place of a conversation's own, which then goes on; every tenth is whole and is used."""
    counts: Counter[str] = Counter(wrong=0, crashed=0)
    with tempfile.TemporaryDirectory() as folder:
        whole, again = Path(folder) / "whole", Path(folder) / "again"
        whole.mkdir()
        expected = _spilled(whole)
        (snapshot,) = (whole / "kv").iterdir()
        raw = snapshot.read_bytes()
        for number in range(count):
            shutil.copytree(whole, again)
            file = again / "kv" / snapshot.name
            file.write_bytes(damaged(raw, dice) if number % 10 else raw)
            try:
                asked = make_stored_rig(again, num_blocks=256, choose=endless).chat(
                    NEXT, params=SHORT
                )
                counts[asked.figures.source.value] += 1
                counts["wrong"] += asked.text != expected
            except Exception as error:  # noqa: BLE001  any of them is what is sought
                counts["crashed"] += 1
                print(f"snapshot: {error!r}")
            shutil.rmtree(again)
    return counts


def _spilled(folder: Path) -> str:
    """A conversation on disk; what it is answered next."""
    rig = make_stored_rig(folder, num_blocks=256, choose=endless)
    for message in SAID:
        rig.chat(message, params=SHORT)
    rig.stop()
    rig = make_rig(num_blocks=256, choose=endless)
    for message in SAID:
        rig.chat(message, params=SHORT)
    return rig.chat(NEXT, params=SHORT).text


def damage_exports(dice: random.Random, count: int) -> Counter[str]:
    """Each opened by somebody; one that is taken goes on as if its KV had been computed here."""
    counts: Counter[str] = Counter(wrong=0, crashed=0)
    files = _exported()
    for number in range(count):
        if number % 500 == 0:
            rig = make_rig(num_blocks=2048, choose=endless)
        raw = dice.choice(files)
        is_archive = raw.startswith(b"PK") and dice.random() < 0.5
        raw = _damaged_within(raw, dice) if is_archive else damaged(raw, dice)
        try:
            counts[_opened(rig, raw, f"{number}")] += 1
        except Exception as error:  # noqa: BLE001  any of them is what is sought
            counts["crashed"] += 1
            print(f"export: {error!r}")
        rig.tiers.reclaim(rig.pool.num_blocks)
        rig.core.check_integrity()
    return counts


def _exported() -> list[bytes]:
    rig = make_rig(num_blocks=256, choose=endless)
    files = [b"# A talk\n\n## User\n\nHello\n\n## Assistant\n\nHi\n"]
    for message in SAID:
        rig.chat(message, params=SHORT)
    messages = [{"role": m.role, "content": m.content} for m in rig.session().messages]
    files += [rig.core.export(rig.session())]
    rig.core.evict(rig.session())
    files += [rig.core.export(rig.session())]
    head = {"format": "warmchat-conversation", "version": 1, "messages": messages}
    return [*files, json.dumps(head).encode()]


def _damaged_within(raw: bytes, dice: random.Random) -> bytes:
    """An archive that is whole, with a damaged file in it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive, zipfile.ZipFile(made, "w") as again:
        unlucky = dice.choice(archive.namelist())
        for name in archive.namelist():
            inner = archive.read(name)
            again.writestr(name, damaged(inner, dice) if name == unlucky else inner)
    return made.getvalue()


def _opened(rig: Rig, raw: bytes, name: str) -> str:
    """What became of the file: refused, or taken and answered, rightly or not."""
    sessions = [rig.session(f"{name}-{kind}") for kind in ("as it is", "without KV")]
    try:
        for session in sessions:
            rig.core.parts.sharing.read(session, raw)
    except EngineError:
        return "refused"
    rig.core.evict(sessions[1])
    try:
        texts = [
            rig.chat(NEXT, session.id.conversation, SHORT).text
            for session in sessions
            if session.id
        ]
    except EngineError:
        return "taken, then too long"
    return "taken" if texts[0] == texts[1] else "wrong"
