"""Time to first token of the same short message after short and long histories.

The promise measured: a turn prefills its new tokens only, so TTFT hardly depends on the history.
Beside it, in the same round, the usual way: the same turn with the KV dropped, so that the whole
history is encoded again. The number of new tokens is counted from the rendered texts, apart from
the engine's own ledger.
"""

import asyncio
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.conversation import ExpectedTokens, new_session, ready_engine, rest, text_of, turn
from engine import Engine, SessionId, TurnFigures

HISTORIES = (0, 1024, 4096)
MESSAGE_TOKENS = 40
ROUNDS = 5
TURNS = 10


async def _measure(
    engine: Engine, expected: ExpectedTokens, history: int
) -> tuple[TurnFigures, TurnFigures, int]:
    """One turn after `history` tokens: with the KV kept, re-encoded, and its number of new tokens."""
    session_id = new_session(engine)
    if history:
        long = text_of(expected.tokenizer, history - 48)
        await turn(engine, session_id, long, max_tokens=8)
    before = engine.messages(session_id)
    message = text_of(expected.tokenizer, MESSAGE_TOKENS)
    new_tokens = expected.new_tokens(before, message)
    await rest(engine)
    kept = await turn(engine, session_id, message, max_tokens=2)
    await rest(engine)
    await engine.evict(session_id)
    encoded = await turn(engine, session_id, message, max_tokens=2, keep=len(before))
    engine.close_session(session_id)
    return kept, encoded, new_tokens


async def _ten_turns(engine: Engine, expected: ExpectedTokens) -> list[tuple[int, int]]:
    """(prefilled, new) tokens of each turn of one conversation."""
    session_id: SessionId = new_session(engine)
    pairs = []
    never_computed = 0
    for _ in range(TURNS):
        message = text_of(expected.tokenizer, MESSAGE_TOKENS)
        new_tokens = expected.new_tokens(engine.messages(session_id), message)
        figures = await turn(engine, session_id, message, max_tokens=24)
        pairs.append((figures.prefilled_tokens, new_tokens + never_computed))
        # A reply cut at 24 tokens ends with one that was sampled and never fed to the model.
        never_computed = int(figures.generated_tokens == 24)
    return pairs


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    expected = ExpectedTokens(model_dir)
    kept: dict[int, list[TurnFigures]] = defaultdict(list)
    encoded: dict[int, list[TurnFigures]] = defaultdict(list)
    new_tokens: dict[int, int] = {}

    async def rounds(engine: Engine) -> list[tuple[int, int]]:
        for _ in range(ROUNDS):
            for history in HISTORIES:
                with_kv, without, new_tokens[history] = await _measure(engine, expected, history)
                kept[history].append(with_kv)
                encoded[history].append(without)
        return await _ten_turns(engine, expected)

    with ready_engine(model_dir) as engine:
        ten = asyncio.run(rounds(engine))

    ttft = {h: _ttft_ms(kept[h]) for h in HISTORIES}
    reencode = {h: _ttft_ms(encoded[h]) for h in HISTORIES}
    print(f"{'history':>8} {'prefilled':>10} {'TTFT kept':>10} {'re-encoded':>11} {'speed-up':>9}")
    for h in HISTORIES:
        prefilled = kept[h][-1].prefilled_tokens
        ratio = reencode[h] / ttft[h]
        print(f"{h:>8} {prefilled:>10} {ttft[h]:>7.1f} ms {reencode[h]:>8.1f} ms {ratio:>8.1f}x")
    ahead = {h: new_tokens[h] - kept[h][-1].prefilled_tokens for h in HISTORIES}
    print(f"of the new tokens, computed before the message came: {ahead}")
    print(f"ten turns: prefilled {[p for p, _ in ten]}, new {[n for _, n in ten]}")
    return {
        "ttft_ms": _keyed(ttft),
        "prefilled_tokens": {str(h): kept[h][-1].prefilled_tokens for h in HISTORIES},
        "new_tokens": new_tokens[HISTORIES[-1]],
        "reencode_ttft_ms": _keyed(reencode),
        "speedup_4096": round(reencode[4096] / ttft[4096], 1),
        "flatness": round(ttft[4096] / ttft[0], 2),
        "prefilled_ahead_tokens": {str(h): count for h, count in ahead.items()},
        "ten_turns_reencoded_tokens": sum(max(prefilled - new, 0) for prefilled, new in ten),
    }


def _ttft_ms(figures: list[TurnFigures]) -> float:
    times = [f.ttft_s for f in figures if f.ttft_s is not None]
    return 1e3 * median(times)


def _keyed(values: dict[int, float]) -> dict[str, float]:
    return {str(key): round(value, 1) for key, value in values.items()}
