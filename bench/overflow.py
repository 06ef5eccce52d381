"""What to do after the context overflowed: recompute what is kept, or rotate its keys.

Whole oldest turns behind the system prompt are dropped from conversations of several lengths. The
KV of the shortened conversation is then (a) recomputed, (b) moved with rotated keys, (c) moved with
keys left as they were, new tokens counting on from the old positions. What each predicts for one
more turn is compared with (a), and so is the conversation with nothing dropped. (b) and (c) keep
traces of the dropped text, which need not be a fault: so the likelihood of the real next reply is
reported too. The texts are Python's own documentation, a piece of it in each reply.
"""

import time
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from pydoc_data.topics import topics
from statistics import fmean, median
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.model import CompileOptions, KVCache, Model, build_inputs, usable_cpus
from engine.scheduling import Batch, Sequence
from engine.text import ChatTemplate, Message, Tokenizer, read_chat_template
from engine.tiers import Cut, KeyRotation, read_inv_freq

PRECISIONS = ("u8", "bf16", "f32")
TOPICS = ("compound", "specialnames", "typesseq")
LENGTHS = (1000, 2000, 4000)
PREDICTED = 32
CHUNK = 512
MOVES = 5
_PIECE = 700  # characters of documentation in each reply

LogProbs = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation's tokens, what is dropped of it, and one more turn with its real reply."""

    tokens: list[int]
    cut: Cut
    question: list[int]
    reply: list[int]

    @property
    def kept(self) -> list[int]:
        """The shortened conversation."""
        return self.tokens[: self.cut.begin] + self.tokens[self.cut.end :]


def read_cases(model_dir: Path) -> dict[int, list[Case]]:
    """For each length, a case of each topic; about half of the tokens is dropped."""
    tokenizer, template = Tokenizer(model_dir), read_chat_template(model_dir)
    assert template is not None, "this benchmark needs a chat model"
    cases: dict[int, list[Case]] = {length: [] for length in LENGTHS}
    for topic in TOPICS:
        turns = _turns(tokenizer, template, topic)
        for length in LENGTHS:
            cases[length].append(_case(turns, length))
    return cases


@dataclass(frozen=True, slots=True)
class _Turn:
    """Tokens of a user's message with the scaffolding around it, and of the reply."""

    question: list[int]
    reply: list[int]


def _turns(tokenizer: Tokenizer, template: ChatTemplate, topic: str) -> list[_Turn]:
    """A conversation of more than the greatest length; the system prompt is in its first question."""
    messages = [Message("system", "You explain Python from its documentation.")]
    turns: list[_Turn] = []
    known, num_tokens = "", 0
    while num_tokens < max(LENGTHS) + 2 * _PIECE:
        begin = len(turns) * _PIECE
        reply = topics[topic][begin : begin + _PIECE]
        assert reply, f"{topic} is too short"
        messages.append(Message("user", f"Please go on about {topic}."))
        rendered = template.render(messages)
        question = tokenizer.encode(rendered[len(known) :])
        turns.append(_Turn(question, tokenizer.encode(reply)))
        messages.append(Message("assistant", reply))
        known = rendered + reply
        num_tokens += len(question) + len(turns[-1].reply)
    return turns


def _case(turns: list[_Turn], length: int) -> Case:
    """The turns that fit into `length` tokens, less the older half but for the first question.

    Cut from the first reply to a later one: as each turn repeats the same words around its reply,
    what is left is the system prompt followed by whole turns.
    """
    ends = list(accumulate(len(turn.question) + len(turn.reply) for turn in turns))
    count = bisect_right(ends, length)
    begins = [end - len(turn.reply) for end, turn in zip(ends, turns, strict=True)]
    num_tokens = ends[count - 1]
    end = next(begin for begin in begins if begin >= num_tokens // 2)
    tokens = [token for turn in turns[:count] for token in turn.question + turn.reply]
    last = turns[count]
    return Case(tokens, Cut(begins[0], end, num_tokens), last.question, last.reply[:PREDICTED])


class Runner:
    """A model at one KV precision; two stretches of blocks, for the conversation and what is left."""

    def __init__(self, model_dir: Path, kv_precision: str) -> None:
        options = CompileOptions(device="CPU", num_threads=usable_cpus(), kv_precision=kv_precision)
        self._model = Model(model_dir, options)
        num_blocks = -(-(max(LENGTHS) + _PIECE) // self._model.block_size)
        self._kv_cache = KVCache(self._model.kv_ports, 2 * num_blocks)
        self._model.bind(self._kv_cache)
        self._table = list(range(num_blocks))
        self._other = list(range(num_blocks, 2 * num_blocks))
        inv_freq = read_inv_freq(model_dir)
        self._rotating = KeyRotation(self._model.kv_ports, inv_freq)
        self._copying = KeyRotation(self._model.kv_ports, [])
        self.prefill(self._other, [1] * CHUNK)

    def prefill(self, table: list[int], tokens: list[int]) -> None:
        """Compute the KV of `tokens` into the blocks of `table`, in chunks as the engine does."""
        for begin in range(0, len(tokens), CHUNK):
            self._forward(table, tokens[: begin + CHUNK], begin)

    def compare(self, case: Case) -> tuple[dict[str, LogProbs], dict[str, float]]:
        """Log-probabilities [PREDICTED, vocab] for the case's reply, and seconds, by variant."""
        self.prefill(self._table, case.tokens)
        predicted, seconds = {}, {}
        for variant, rotation in (("rotated", self._rotating), ("gap", self._copying)):
            seconds[variant] = median(self._timed_move(rotation, case.cut) for _ in range(MOVES))
            gap = case.cut.distance if variant == "gap" else 0
            predicted[variant] = self._predict(self._moved_table(case.cut), case.kept, case, gap)
        began_at = time.perf_counter()
        self.prefill(self._other, case.kept)
        seconds["recomputed"] = time.perf_counter() - began_at
        predicted["recomputed"] = self._predict(self._other, case.kept, case)
        predicted["uncut"] = self._predict(self._table, case.tokens, case)
        return predicted, seconds

    def _moved_table(self, cut: Cut) -> list[int]:
        """Whole blocks in front of the cut are shared, as the engine would have it."""
        begin = cut.rewritten(self._model.block_size).start
        return self._table[:begin] + self._other[begin:]

    def _timed_move(self, rotation: KeyRotation, cut: Cut) -> float:
        places = cut.rewritten(self._model.block_size)
        began_at = time.perf_counter()
        rotation.move(self._kv_cache, self._table, self._other[places.start : places.stop], cut)
        return time.perf_counter() - began_at

    def _predict(self, table: list[int], cached: list[int], case: Case, gap: int = 0) -> LogProbs:
        tokens = cached + case.question + case.reply
        logits = self._forward(table, tokens, len(cached), gap)
        return _log_softmax(logits[-len(case.reply) - 1 : -1])

    def _forward(
        self, table: list[int], tokens: list[int], num_cached: int, gap: int = 0
    ) -> LogProbs:
        """Logits [new tokens, vocab]; `gap` is added to the positions of the new tokens."""
        count = len(tokens) - num_cached
        blocks = table[: -(-len(tokens) // self._model.block_size)]
        inputs = build_inputs(Batch([Sequence(tokens, blocks, num_cached, count)], []))
        inputs["position_ids"] = inputs["position_ids"] + gap
        if count < CHUNK:
            inputs["logit_indices"] = np.arange(count)
        return self._model.forward(inputs)


def _log_softmax(logits: LogProbs) -> LogProbs:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normalised: LogProbs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised


def _figures(expected: LogProbs, found: LogProbs, reply: list[int]) -> dict[str, float]:
    """How `found` differs from `expected`, and how well it knows the real reply."""
    kl = (np.exp(expected) * (expected - found)).sum(axis=-1)
    return {
        "kl_next": float(kl[0]),
        "kl": float(kl.mean()),
        "top1": float((expected.argmax(-1) == found.argmax(-1)).mean()),
        "nll": -float(found[np.arange(len(reply)), reply].mean()),
    }


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    cases = read_cases(model_dir)
    result = {precision: _run(model_dir, precision, cases) for precision in PRECISIONS}
    times = "".join(f"{length:>9}" for length in LENGTHS)
    print(
        f"{'KV':>4} {'variant':>11} {'KL next':>8} {'KL':>7} {'top-1':>6} {'NLL':>6}{times} tokens"
    )
    for precision, variants in result.items():
        for variant, f in variants.items():
            ms = "".join(f"{one:>6.0f} ms" for one in f["ms"].values())
            print(
                f"{precision:>4} {variant:>11} {f['kl_next']:>8.4f} {f['kl']:>7.4f}"
                f" {f['top1']:>6.1%} {f['nll']:>6.3f}{ms}"
            )
    return result


def _run(model_dir: Path, precision: str, cases: dict[int, list[Case]]) -> dict[str, Any]:
    """Figures of each variant: means over all cases; milliseconds as medians for each length."""
    runner = Runner(model_dir, precision)
    figures: dict[str, list[dict[str, float]]] = defaultdict(list)
    times_ms: dict[str, dict[str, float]] = defaultdict(dict)
    for length, of_length in cases.items():
        seconds = defaultdict(list)
        for case in of_length:
            predicted, took = runner.compare(case)
            for variant, found in predicted.items():
                figures[variant].append(_figures(predicted["recomputed"], found, case.reply))
            for variant, one in took.items():
                seconds[variant].append(one)
        for variant, of_variant in seconds.items():
            times_ms[variant][str(length)] = round(1e3 * median(of_variant), 1)
    return {
        variant: {name: round(fmean(one[name] for one in of_variant), 4) for name in of_variant[0]}
        | {"ms": times_ms[variant]}
        for variant, of_variant in figures.items()
    }
