"""Resumed conversations against re-encoded ones: how far apart their logits are.

A conversation of uneven turns is led through the engine, which keeps its KV, spills it to disk,
restores it, and is once ended and started again in the middle. Every reply's logits are recorded as
they were when its tokens were sampled. Then the same tokens are encoded from scratch in one go, and
the two are compared row by row: the largest difference at f32, and the Kullback-Leibler divergence
of what is predicted with a smaller KV, all of it computed in f32; and the same of the default, u8 KV
with bf16 and int8. Some difference is the kernels' own: one token at a time and many at once are not
added up in the same order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.conversation import text_of
from bench.inside import OpenCore, WatchedModel
from engine import SessionId
from engine.metrics import KVSource
from engine.model import Inputs, Logits
from engine.scheduling import Sequence

# KV precision and precision of what is computed.
VARIANTS = {
    "f32": ("f32", "f32"),
    "f16": ("f16", "f32"),
    "u8": ("u8", "f32"),
    "default": ("u8", "auto"),
}
REPLY_TOKENS = 24
KV_BUDGET = 256 << 20
SESSION_ID = SessionId("bench", "exact")


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of about so many tokens, and what happens to the KV in front of it."""

    num_tokens: int
    before: str = "stay"


TURNS = (
    *(Turn(9), Turn(180), Turn(31, "spill"), Turn(2), Turn(333, "restart")),
    *(Turn(64), Turn(5, "spill"), Turn(97), Turn(17, "restart"), Turn(150)),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """All tokens up to the reply's end, and the logits [n, vocab] from which its n were sampled."""

    tokens: list[int]
    logits: Logits


def kl(expected: Logits, found: Logits) -> npt.NDArray[np.float64]:
    """Divergence [rows] of softmax(found) from softmax(expected), in nats."""
    p, q = _log_softmax(expected), _log_softmax(found)
    divergence: npt.NDArray[np.float64] = (np.exp(p) * (p - q)).sum(axis=-1)
    return divergence


def same_greedy(expected: Logits, found: Logits) -> npt.NDArray[np.bool_]:
    """In which rows [rows] both predict the same token."""
    same: npt.NDArray[np.bool_] = expected.argmax(axis=-1) == found.argmax(axis=-1)
    return same


def _log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    normalised: npt.NDArray[np.float64] = shifted - np.log(
        np.exp(shifted).sum(axis=-1, keepdims=True)
    )
    return normalised


@contextmanager
def _recorded(inside: OpenCore) -> Iterator[list[Logits]]:
    """Logits of each forward in between that had any."""
    rows: list[Logits] = []

    def observe(_inputs: Inputs, logits: Logits) -> None:
        if len(logits):
            rows.append(logits.copy())

    runner = inside.core.parts.runner
    model, runner.model = runner.model, WatchedModel(runner.model, observe)
    try:
        yield rows
    finally:
        runner.model = model


def _resumed(model_dir: Path, folder: Path, variant: str) -> tuple[OpenCore, list[Reply]]:
    """Lead the conversation; the core that it ended in, and its replies."""
    kv_precision, precision = VARIANTS[variant]

    def opened() -> OpenCore:
        return OpenCore(
            model_dir,
            data_dir=folder,
            kv_precision=kv_precision,
            precision=precision,
            kv_budget_bytes=KV_BUDGET,
            warm_up=False,
        )

    inside, replies = opened(), []
    for turn in TURNS:
        if turn.before == "spill":
            inside.spill(inside.sessions.find(SESSION_ID))
        elif turn.before == "restart":
            inside.close()
            inside = opened()
        replies.append(_say(inside, turn))
    return inside, replies


def _say(inside: OpenCore, turn: Turn) -> Reply:
    message = text_of(inside.core.parts.tokenizer, turn.num_tokens)
    with _recorded(inside) as rows:
        figures, tokens = inside.turn(SESSION_ID, message, REPLY_TOKENS)
    expected = KVSource.MEMORY if turn.before == "stay" else KVSource.DISK
    assert figures.source is expected, f"the KV came from {figures.source}: {figures.note}"
    # A restore computes its last token again, before the turn; work ahead comes behind it.
    begin = int(turn.before != "stay")
    logits = np.concatenate(rows)[begin : begin + figures.generated_tokens]
    return Reply(tokens, logits)


def _encoded(inside: OpenCore, reply: Reply) -> Logits:
    """The logits from which the reply would be sampled, had everything been encoded just now."""
    count = len(reply.logits)
    # An end-of-text token was sampled but is not kept; others are, and predict one token more.
    is_kept = reply.tokens[-1] == int(reply.logits[-1].argmax())
    sequence = Sequence(reply.tokens[:-1] if is_kept else list(reply.tokens))
    said = reply.logits[:-1].argmax(axis=-1).tolist()
    assert sequence.tokens[len(sequence.tokens) - count + 1 :] == said, "rows and tokens disagree"
    logits = inside.logits(sequence, count)
    sequence.truncate(0, inside.core.parts.pool)
    return logits


def _compare(model_dir: Path, variant: str) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        inside, replies = _resumed(model_dir, Path(folder), variant)
        resumed = np.concatenate([reply.logits for reply in replies])
        encoded = np.concatenate([_encoded(inside, reply) for reply in replies])
        inside.close()
    return {
        "rows": len(resumed),
        "max_abs_diff": float(np.abs(resumed - encoded).max()),
        "kl": float(kl(encoded, resumed).mean()),
        "kl_max": float(kl(encoded, resumed).max()),
        "greedy_equal_share": float(same_greedy(encoded, resumed).mean()),
    }


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    figures = {variant: _compare(model_dir, variant) for variant in VARIANTS}
    turns = [f"{turn.num_tokens}" + f" ({turn.before})" * (turn.before != "stay") for turn in TURNS]
    print(f"turns: {', '.join(turns)}; {figures['u8']['rows']} predictions compared")
    print(f"{'KV':>8} {'largest difference':>19} {'KL':>10} {'largest KL':>11} {'same token':>11}")
    for variant, f in figures.items():
        print(
            f"{variant:>8} {f['max_abs_diff']:>19.2e} {f['kl']:>10.2e} {f['kl_max']:>11.2e}"
            f" {f['greedy_equal_share']:>10.1%}"
        )
    default = figures.pop("default")
    return {
        "f32_max_abs_diff": float(f"{figures['f32']['max_abs_diff']:.3g}"),
        "u8_kl": float(f"{figures['u8']['kl']:.3g}"),
        "f16_kl": float(f"{figures['f16']['kl']:.3g}"),
        "greedy_equal_share": round(min(f["greedy_equal_share"] for f in figures.values()), 4),
        "default_kl": float(f"{default['kl']:.3g}"),
        "default_greedy_equal_share": round(default["greedy_equal_share"], 4),
    }
