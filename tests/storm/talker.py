"""The program that the storm of kills ends: an engine whose conversations go on at random.

    python -m tests.storm.talker FOLDER SEED

Says on standard output, a line of JSON each, {"began": process}, and what its people were told: {"asked": [conversation, message]}
before a request, {"said": [...], "text": ...} for each piece of text, {"over": [...], "reason": ...} at the end.
SIGTERM closes the engine, as the server does.
"""

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.config import EngineConfig
from engine.engine import Engine
from engine.errors import EngineError
from engine.events import Finished, Text
from engine.scheduling.sampling import SamplingParams
from tests.engine.fakes import endless
from tests.engine.rig import make_disk, make_loader, session_id

NAMES = "abcdef"
AT_ONCE = 3
LONGEST_S = 1.4  # of a life behind its first word
# A block more than the context needs, as loading leaves one for proving what comes from disk.
OPTIONS: dict[str, Any] = {"num_blocks": 161, "choose": endless, "context_length": 640}


def main() -> None:
    """Talk until something ends it."""
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    config = EngineConfig(model_dir=Path("nowhere"), data_dir=folder)
    loader = make_loader([], disk=make_disk(folder / "kv"), **OPTIONS)
    engine = Engine(config, loader).start()

    def end(*_: object) -> None:
        engine.close(4.0)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    engine.wait_ready()
    tell(began=os.getpid())
    asyncio.run(_talk(engine, random.Random(seed), seed))


async def _talk(engine: Engine, dice: random.Random, seed: int) -> None:
    numbers = iter(range(10**9))
    free = list(NAMES)
    for name in free:
        engine.open_session(session_id(name))

    async def person() -> None:
        while True:
            name = free.pop(dice.randrange(len(free)))
            try:
                await _turn(
                    engine, dice, name, f"{seed}.{next(numbers)} {'x' * dice.randrange(40)}"
                )
            finally:
                free.append(name)
            await asyncio.sleep(dice.random() * 0.01)

    await asyncio.gather(*(person() for _ in range(AT_ONCE)))


async def _turn(engine: Engine, dice: random.Random, name: str, message: str) -> None:
    depth = len(engine.messages(session_id(name)))
    keep = dice.choice([None, None, None, 0, depth - depth % 2 - 2]) if depth else None
    if depth > 20:
        keep = 0
    params = SamplingParams(temperature=0, max_tokens=dice.choice([1, 8, 60]))
    with suppress(EngineError):
        tell(asked=[name, message])
        async for event in engine.chat(session_id(name), message, keep=keep, params=params):
            if isinstance(event, Text):
                tell(said=[name, message], text=event.text)
            elif isinstance(event, Finished):
                tell(over=[name, message], reason=event.reason.value)


def tell(**line: Any) -> None:
    """A line that whoever reads it can count on."""
    sys.stdout.write(json.dumps(line) + "\n")  # in one piece, whichever thread says it
    sys.stdout.flush()


if __name__ == "__main__":
    main()
