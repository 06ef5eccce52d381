"""A model and a tokenizer of a few lines, through which every mistake of the engine shows.

The model stores (token, position) through the block table, reads the whole context back the same
way, and makes its logits from that: a wrong block, slot, position or length changes the reply. With states it
also carries a number from token to token, as recurrent layers do, which must be that of the context. The
tokenizer's tokens are UTF-8 bytes, special strings, and pieces of several characters that only the
model produces, so that a reply which was encoded again would show, too.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from engine.model.batch import Inputs
from engine.text.special_tokens import SPLIT, Escape
from engine.tiers.rotation import Cut

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|end|>", "<|<|end|>|>", "<|im_end|>s")
PIECES = ("the", " a", "ab", "STO", "P!", "中文", "🙂 ", "\n\n", "<|im", "_end|>", "</think>")
SPECIAL_IDS = {string: 256 + i for i, string in enumerate(SPECIAL)}
PIECE_IDS = {piece: 256 + len(SPECIAL) + i for i, piece in enumerate(PIECES)}
VOCAB_SIZE = 256 + len(SPECIAL) + len(PIECES)
EOS = SPECIAL_IDS["<|im_end|>"]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

Choose = Callable[[list[int]], int]
RawBlocks = list[npt.NDArray[np.uint8]]


def fingerprint(context: Sequence[int]) -> int:
    """A number that every token and its place decide."""
    raw = np.asarray(context, np.int64).tobytes()
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest())


def babble(context: Sequence[int]) -> int:
    """The next token of a model that speaks in short replies of letters and pieces."""
    number = fingerprint(context)
    if number % 11 == 0:
        return EOS
    letters: list[int] = [
        *b"abcdefgh .",
        *(PIECE_IDS[p] for p in ("the", " a", "ab", "中文", "🙂 ")),
    ]
    return letters[(number >> 8) % len(letters)]


def endless(context: Sequence[int]) -> int:
    """The next token of a model that never stops by itself."""
    token = babble(context)
    return ord("z") if token == EOS else token


def saying(*tokens: int | str) -> Choose:
    """A model that answers every prompt with these tokens or strings, and then stops."""
    reply = [t for token in tokens for t in ([token] if isinstance(token, int) else token.encode())]
    opening = [SPECIAL_IDS["<|im_start|>"], *b"assistant\n"]

    def choose(context: list[int]) -> int:
        for begin in range(len(context) - len(opening), -1, -1):
            if context[begin : begin + len(opening)] == opening:
                said = len(context) - begin - len(opening)
                return reply[said] if said < len(reply) else EOS
        return EOS  # a prefill ahead of any reply, whose logits nobody uses

    return choose


@dataclass
class Step:
    """What one forward was given: for each sequence, tokens cached before and tokens computed."""

    past: list[int]
    counts: list[int]


def state_of(context: Sequence[int], state: int = 0) -> int:
    """What recurrent layers would have made of these tokens, behind those that made `state`."""
    for token in context:
        state = (state * 1_000_003 + token + 1) % (2**61 - 1)
    return state


class FakeStates:
    """A number for each block; 0 at the beginning."""

    def __init__(self, count: int) -> None:
        self.values = np.full((count, 1), -1, np.int64)
        self.values[:1] = 0

    def room_for(self, count: int) -> RawBlocks:
        return [np.empty((count, 8), np.uint8)]

    def read_blocks(self, blocks: Sequence[int], out: RawBlocks | None = None) -> RawBlocks:
        copies = self.room_for(len(blocks)) if out is None else out
        copies[0][:] = _bytes(self.values)[list(blocks)]
        return copies

    def write_blocks(self, blocks: Sequence[int], raw: RawBlocks) -> None:
        _bytes(self.values)[list(blocks)] = raw[0]

    def copy_block(self, source: int, target: int) -> None:
        self.values[target] = self.values[source]

    def step(self, inputs: Inputs) -> list[int]:
        """Read and write the states of a step as OpenVINO does; the state behind each token."""
        begins, tables = inputs["subsequence_begins"], inputs["la.block_indices_begins"]
        assert len(tables) == len(begins)
        states: list[int] = []
        written: set[int] = set()
        for i, past in enumerate(inputs["la.past_lens"].tolist()):
            assert past == inputs["past_lens"][i]
            read, *blocks = inputs["la.block_indices"][tables[i] : tables[i + 1]].tolist()
            tokens = inputs["input_ids"][begins[i] : begins[i + 1]].tolist()
            interval = int(inputs["la.cache_interval"][i])
            assert interval > 0, "at which some kernels write nothing"
            assert len(blocks) == -(-(past % interval + len(tokens)) // interval)
            assert 0 not in blocks, "somebody writes into the beginning"
            state = int(self.values[read, 0])
            for number, token in enumerate(tokens, past + 1):
                state = state_of([token], state)
                states.append(state)
                if number % interval == 0 or number == past + len(tokens):
                    assert blocks[0] not in written, "two states in one block"
                    written.add(blocks[0])
                    self.values[blocks.pop(0)] = state
            assert not blocks
        return states


@dataclass
class FakeModel:
    """Stores tokens and positions through the block table; the next token comes from them alone."""

    num_blocks: int
    block_size: int
    choose: Choose = babble
    before: Callable[[Inputs], None] | None = None  # may raise, or wait
    vocab_size: int = VOCAB_SIZE
    has_single_token_graph: bool = False
    num_states: int = 0
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = np.full((self.num_blocks, self.block_size), -1, np.int64)
        self.positions = np.full((self.num_blocks, self.block_size), -1, np.int64)
        self.states = FakeStates(self.num_states) if self.num_states else None

    def copy_block(self, source: int, target: int) -> None:
        self.tokens[target] = self.tokens[source]
        self.positions[target] = self.positions[source]

    def room_for(self, count: int) -> RawBlocks:
        rows = _bytes(self.tokens)
        return [np.empty((count, rows.shape[1]), np.uint8) for _ in range(2)]

    def read_blocks(self, blocks: Sequence[int], out: RawBlocks | None = None) -> RawBlocks:
        copies = self.room_for(len(blocks)) if out is None else out
        for rows, copy in zip((self.tokens, self.positions), copies, strict=True):
            copy[:] = _bytes(rows)[list(blocks)]
        return copies

    def write_blocks(self, blocks: Sequence[int], raw: RawBlocks) -> None:
        for rows, values in zip((self.tokens, self.positions), raw, strict=True):
            _bytes(rows)[list(blocks)] = values

    def move(self, table: Sequence[int], targets: Sequence[int], cut: Cut) -> None:
        """The tokens that the cut leaves, in their new slots with their new positions."""
        for place, target in zip(cut.rewritten(self.block_size), targets, strict=True):
            for offset in range(self.block_size):
                new = min(place * self.block_size + offset, cut.num_kept - 1)
                old = new if new < cut.begin else new + cut.distance
                source = table[old // self.block_size], old % self.block_size
                self.tokens[target, offset] = self.tokens[source]
                self.positions[target, offset] = self.positions[source] - (old - new)

    def forward(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        tables = self._store(inputs)
        states = None if self.states is None else self.states.step(inputs)
        if self.before:
            self.before(inputs)
        begins, past = inputs["subsequence_begins"], inputs["past_lens"]
        assert inputs["max_context_len"].ndim == 0
        assert inputs["max_context_len"] == (past + np.diff(begins)).max()
        self.steps.append(Step(past.tolist(), np.diff(begins).tolist()))
        rows = []
        for index in inputs["logit_indices"].tolist():
            sequence = int(np.searchsorted(begins, index, side="right")) - 1
            length = int(past[sequence]) + index - int(begins[sequence]) + 1
            state = None if states is None else states[index]
            rows.append(self._logits(tables[sequence], length, state))
        return np.array(rows, np.float32).reshape(-1, self.vocab_size)

    def _store(self, inputs: Inputs) -> list[npt.NDArray[np.int64]]:
        begins, past = inputs["subsequence_begins"], inputs["past_lens"]
        block_begins = inputs["block_indices_begins"]
        assert len(begins) == len(block_begins) == len(past) + 1
        assert begins[-1] == len(inputs["input_ids"]) == len(inputs["position_ids"])
        tables: list[npt.NDArray[np.int64]] = []
        written: set[tuple[int, int]] = set()
        for i, cached in enumerate(past.tolist()):
            table = inputs["block_indices"][block_begins[i] : block_begins[i + 1]].astype(np.int64)
            rows = np.arange(begins[i], begins[i + 1])
            assert len(rows) > 0, "an empty sequence"
            assert len(table) == -(-(cached + len(rows)) // self.block_size)
            slots = cached + np.arange(len(rows))
            blocks, offsets = table[slots // self.block_size], slots % self.block_size
            self.tokens[blocks, offsets] = inputs["input_ids"][rows]
            self.positions[blocks, offsets] = inputs["position_ids"][rows]
            slots_written = set(zip(blocks.tolist(), offsets.tolist(), strict=True))
            assert not slots_written & written, "two sequences write into one slot"
            written |= slots_written
            tables.append(table)
        return tables

    def _logits(
        self, table: npt.NDArray[np.int64], length: int, state: int | None
    ) -> npt.NDArray[np.float32]:
        tokens = self.tokens[table].reshape(-1)[:length].tolist()
        positions = self.positions[table].reshape(-1)[:length].tolist()
        if positions == list(range(length)) and state in (None, state_of(tokens)):
            token = self.choose(tokens)
        else:  # no honest context: say something that no run alone would
            token = (fingerprint(tokens + positions) % 26) + ord("A")
        logits = np.full(self.vocab_size, -20, np.float32)
        logits[token] = 20
        return logits


def _bytes(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    raw: npt.NDArray[np.uint8] = rows.view(np.uint8)
    return raw


class FakeVocabulary:
    """The fake's tokens in the form of llguidance's TokenizerWrapper."""

    eos_token_id = EOS
    bos_token_id = None
    special_token_ids: ClassVar = list(SPECIAL_IDS.values())
    is_tokenizer_wrapper = True

    def __init__(self, tokenizer: "FakeTokenizer") -> None:
        self._tokenizer = tokenizer
        single = [bytes([i]) for i in range(256)]
        self.tokens = [*single, *(s.encode() for s in (*SPECIAL, *PIECES))]

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)


class FakeTokenizer:
    """Bytes, special strings, and pieces that only the model makes. Like engine.text.tokenizer.Tokenizer."""

    def __init__(self) -> None:
        self.special_tokens = dict(SPECIAL_IDS)
        self.escape = Escape(list(SPECIAL))
        self.escape_reply = self.escape_spoken = self.escape  # all added tokens are special here
        self.has_channels = False
        self.fails = False
        longest_first = sorted(SPECIAL, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")
        self._pieces = {index: piece.encode() for piece, index in PIECE_IDS.items()}

    @property
    def vocabulary(self) -> "FakeVocabulary":
        """What llguidance takes in place of a tokenizer.json."""
        return FakeVocabulary(self)

    def encode(self, text: str, *, continues: bool = False) -> list[int]:
        ids: list[int] = []
        for piece in text.split(SPLIT):
            for part in self._special.split(piece):
                ids += [SPECIAL_IDS[part]] if part in SPECIAL_IDS else list(part.encode())
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        raw = b"".join(bytes([i]) if i < 256 else self._pieces.get(i, b"") for i in ids)
        return raw.decode(errors="replace")

    def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
        if self.fails:
            raise RuntimeError("the detokenizer broke")
        return [self.decode(ids) for ids in batch]
