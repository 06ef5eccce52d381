"""Conversations on the real model outlive the program, with their KV."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from engine import Engine, EngineConfig, Message, SamplingParams, SessionId
from engine.events import Finished, Text
from engine.metrics import KVSource
from engine.turns.core import EngineCore
from tests import ROOT

SESSION = SessionId("owner", "conversation")
GREEDY = SamplingParams(temperature=0, max_tokens=40)
LONG = "Tell me about Paris. " + "It is a city that I like. " * 30

TALK = """
import asyncio, sys
from pathlib import Path
from engine import Engine, EngineConfig, SamplingParams, SessionId
from engine.events import Text

async def main():
    engine = Engine(EngineConfig(model_dir=Path(sys.argv[1]), data_dir=Path(sys.argv[2]),
                                 kv_budget_bytes=64 << 20, warm_up=False)).start()
    session = SessionId("owner", "conversation")
    engine.open_session(session)
    params = SamplingParams(temperature=0, max_tokens=int(sys.argv[3]))
    async for event in engine.chat(session, "Write a very long story about a dragon.", params=params):
        if isinstance(event, Text):
            print(event.text, end="", flush=True)

asyncio.run(main())
"""


def engine_on(model_dir: Path, data_dir: Path) -> Engine:
    config = EngineConfig(
        model_dir=model_dir, data_dir=data_dir, kv_budget_bytes=64 << 20, warm_up=False
    )
    engine = Engine(config).start()
    engine.wait_ready()
    engine.open_session(SESSION)
    return engine


def say(engine: Engine, message: str) -> tuple[str, Finished]:
    async def turn() -> tuple[str, Finished]:
        text = ""
        async for event in engine.chat(SESSION, message, params=GREEDY):
            if isinstance(event, Text):
                text += event.text
            elif isinstance(event, Finished):
                return text, event
        raise AssertionError

    return asyncio.run(turn())


def test_after_a_restart_the_next_turn_prefills_only_its_new_tokens(
    smollm2_dir: Path, tmp_path: Path
) -> None:
    engine = engine_on(smollm2_dir, tmp_path)
    say(engine, LONG)
    said = engine.messages(SESSION)
    engine.close()
    engine = engine_on(smollm2_dir, tmp_path)
    assert engine.messages(SESSION) == said
    figures = say(engine, "What is the capital of France?")[1].figures
    engine.close()
    assert figures.source is KVSource.DISK
    assert figures.note is None
    assert figures.prefilled_tokens < 25
    assert figures.reused_tokens > 200


def test_after_a_kill_what_was_said_is_there_and_goes_on(smollm2_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TALK, str(smollm2_dir), str(tmp_path), "4000"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    assert child.stdout is not None
    shown = os.read(child.stdout.fileno(), 4096)
    killed_at = time.monotonic() + 1.7  # the reply is stored about once a second
    while time.monotonic() < killed_at:
        shown += os.read(child.stdout.fileno(), 4096)
    child.send_signal(signal.SIGKILL)
    child.wait()
    engine = engine_on(smollm2_dir, tmp_path)
    question, reply = engine.transcript(SESSION)
    assert question.node.content == "Write a very long story about a dragon."
    assert reply.node.status == "interrupted"
    assert reply.node.content
    assert shown.decode("utf-8", "ignore").startswith(reply.node.content[:40])
    text, finished = say(engine, "What is the capital of France?")
    engine.close()
    assert text
    assert finished.error is None
    assert engine.messages(SESSION)[2] == Message("user", "What is the capital of France?")


def test_a_program_that_ends_without_closing_keeps_its_kv(
    smollm2_dir: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", TALK, str(smollm2_dir), str(tmp_path), "20"]
    ended = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    engine = engine_on(smollm2_dir, tmp_path)
    figures = say(engine, "What is the capital of France?")[1].figures
    engine.close()
    assert figures.source is KVSource.DISK


def test_restoring_is_measured_whatever_the_memory_held_before(
    smollm2_dir: Path, tmp_path: Path
) -> None:
    """Bytes that are no numbers, in blocks that nobody has written to yet."""
    engine = engine_on(smollm2_dir, tmp_path)
    measured: list[float | None] = []

    def measure(core: EngineCore) -> None:
        tiers, pool = core.parts.tiers, core.parts.pool
        storage, blocks = tiers.transfer.storage, pool.try_allocate(pool.num_free)
        assert blocks
        storage.write_blocks(
            blocks, [np.full_like(raw, 255) for raw in storage.read_blocks(blocks)]
        )
        pool.release(blocks)
        tiers.pace.restore_s_per_byte = None
        tiers.measure_restore()
        measured.append(tiers.pace.restore_s_per_byte)

    try:
        asyncio.run(engine._owner.call(measure))
    finally:
        engine.close()
    assert measured[0] is not None
