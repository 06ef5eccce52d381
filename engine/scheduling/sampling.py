"""From logits to the next token. Pure NumPy.

Owns: SamplingParams and each turn's random state and token counts. Does not know: sequences, text.
Order of the filters, as in Hugging Face's generate: biases, penalties, temperature, top-k, top-p, min-p.
Repetition penalty counts prompt and reply (Keskar et al., CTRL, 2019); presence and frequency
penalties count the reply only (OpenAI's definition); min-p is that of Nguyen et al., 2024.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.random import default_rng  # here, since NumPy loads it late: 6 ms of the first answer

from engine.config import require
from engine.scheduling.bias import Bias, check_biases
from engine.scheduling.constraint import Constraint

Row = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.intp]

_GROUP = 64  # columns whose maximum stands for them when the k largest are sought
_COLDEST = 1e-30  # what float32 cannot divide by is greedy
_MAX_STOPS, _MAX_STOP_LENGTH = 100, 1000
# Of each setting: the least and the most that it can be, and its name for people.
_NUMBERS = (
    ("temperature", 0, 100, "The temperature"),
    ("top_p", 0, 1, "top-p"),
    ("min_p", 0, 1, "min-p"),
    ("repetition_penalty", 0, 1000, "The repetition penalty"),
    ("presence_penalty", -1000, 1000, "The presence penalty"),
    ("frequency_penalty", -1000, 1000, "The frequency penalty"),
)
_WHOLE_NUMBERS = (
    ("top_k", 0, 10**6, "top-k"),
    ("seed", 0, 2**64 - 1, "The seed"),
    ("max_tokens", 1, 10**9, "The number of tokens to generate"),
)
_TAILS = (1e-2, 1e-4, 0.0)  # weights below which sorting need not go when those above suffice


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How a reply is sampled.

    temperature: 0 is greedy. top_k: 0 is off. top_p, min_p: probabilities. max_tokens: of the reply.
    stop: the reply ends before the first of these strings. seed: None draws a fresh one. logit_bias: of
    single tokens (id, what is added to the logit).
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    logit_bias: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        """Raise ConfigError, by name, for what cannot be."""
        for name, low, high, words in _NUMBERS:
            _check_number(getattr(self, name), low, high, words)
        for name, low, top, words in _WHOLE_NUMBERS:
            if name != "seed" or self.seed is not None:
                _check_whole_number(getattr(self, name), low, top, words)
        require(self.top_p > 0, "top-p must be above 0.")
        require(self.repetition_penalty > 0, "The repetition penalty must be above 0.")
        _check_stop(self.stop)
        check_biases(self.logit_bias)

    @property
    def is_greedy(self) -> bool:
        """Whether the most probable token is always taken."""
        return self.temperature < _COLDEST or self.top_k == 1

    @property
    def has_penalties(self) -> bool:
        """Whether logits depend on the tokens that were there before."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1, 0, 0)


class Sampler:
    """One turn's sampling: its parameters, random state and token counts.

    said: what the reply says already, where it goes on; it is the end of the prompt. constraint: what
    bounds the reply; it comes before all filters.
    """

    def __init__(
        self,
        params: SamplingParams,
        prompt: Sequence[int],
        vocab_size: int,
        said: Sequence[int] = (),
        constraint: Constraint | None = None,
    ) -> None:
        self.params = params
        self.constraint = constraint
        self._random = default_rng(params.seed)
        self._bias = Bias(params.logit_bias, vocab_size) if params.logit_bias else None
        self._penalties = _Penalties(params, prompt, vocab_size) if params.has_penalties else None
        if self._penalties is not None:
            for token in said:
                self._penalties.count(token)

    def sample(self, logits: Row) -> int:
        """The next token id, from logits of shape [vocab]."""
        if self._bias is not None:
            logits = self._bias.apply(logits)
        if self.constraint is not None:
            logits = self.constraint.restrict(logits)
        if self._penalties is not None:
            logits = self._penalties.apply(logits)
        token = int(logits.argmax()) if self.params.is_greedy else self._draw(logits)
        if self._penalties is not None:
            self._penalties.count(token)
        if self.constraint is not None:
            self.constraint.take(token)
        return token

    def allowed(self, guesses: Sequence[int]) -> list[int]:
        """The first of the guesses, as far as they may come next at all."""
        if self.constraint is None:
            return list(guesses)
        return list(guesses[: self.constraint.num_valid(guesses)])

    def follow(self, rows: npt.NDArray[np.float32], guesses: Sequence[int]) -> list[int]:
        """The next token, and another one behind each guess that was right.

        rows: logits [1 + guesses, vocab] behind the last token and behind each guess.
        """
        said: list[int] = []
        for row, guess in zip(rows, [*guesses, None], strict=True):
            said.append(self.sample(row))
            if said[-1] != guess:
                break
        return said

    def _draw(self, logits: Row) -> int:
        tokens, weights = _candidates(logits, self.params)
        if self.params.min_p:  # the largest weight is 1
            kept = weights >= self.params.min_p
            tokens, weights = tokens[kept], weights[kept]
        cumulative = np.cumsum(weights, dtype=np.float64)
        chosen = np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right")
        return int(tokens[min(int(chosen), len(cumulative) - 1)])


class _Penalties:
    """Which tokens were there before, and what that costs them."""

    def __init__(self, params: SamplingParams, prompt: Sequence[int], vocab_size: int) -> None:
        self._params = params
        self._counts = np.zeros(vocab_size, np.int32)  # in the reply
        self._seen = np.zeros(vocab_size, np.bool_)
        self._seen[list(prompt)] = True
        # The ids of the seen tokens, in a buffer that grows: cheaper than searching the mask.
        self._ids = np.empty(vocab_size, np.intp)
        known = np.flatnonzero(self._seen)
        self._num_ids = len(known)
        self._ids[: self._num_ids] = known

    def apply(self, logits: Row) -> Row:
        """A penalised copy of logits [vocab]."""
        logits = logits.copy()
        ids = self._ids[: self._num_ids]
        values = logits[ids]
        repetition = np.float32(self._params.repetition_penalty)
        values = np.where(values > 0, values / repetition, values * repetition)
        counts = self._counts[ids]
        values -= np.float32(self._params.presence_penalty) * (counts > 0)
        values -= np.float32(self._params.frequency_penalty) * counts
        logits[ids] = values
        return logits

    def count(self, token: int) -> None:
        """The reply goes on with `token`."""
        self._counts[token] += 1
        if not self._seen[token]:
            self._seen[token] = True
            self._ids[self._num_ids] = token
            self._num_ids += 1


def _candidates(logits: Row, params: SamplingParams) -> tuple[TokenIds, Row]:
    """Token ids left after temperature, top-k and top-p, and weights: probabilities over the largest."""
    scale = np.float32(1 / params.temperature)
    if params.top_k and params.top_k < logits.size:
        tokens = _largest(logits, params.top_k)
        weights = np.exp((logits[tokens] - logits[tokens[0]]) * scale)
        return _nucleus(tokens, weights, params.top_p * float(weights.sum()))
    weights = np.exp((logits - logits.max()) * scale)
    if params.top_p == 1:
        return np.arange(logits.size), weights
    return _sorted_nucleus(weights, params.top_p * float(weights.sum(dtype=np.float64)))


def _sorted_nucleus(weights: Row, mass: float) -> tuple[TokenIds, Row]:
    """`_nucleus` of unsorted weights; sorts no more of the tail than it needs."""
    for floor in _TAILS:
        tokens = np.flatnonzero(weights >= floor)
        if float(weights[tokens].sum(dtype=np.float64)) >= mass:
            break
    tokens = tokens[np.argsort(-weights[tokens], kind="stable")]
    return _nucleus(tokens, weights[tokens], mass)


def _nucleus(tokens: TokenIds, weights: Row, mass: float) -> tuple[TokenIds, Row]:
    """The shortest head of the descending candidates whose weights reach `mass`."""
    count = int(np.searchsorted(np.cumsum(weights, dtype=np.float64), mass)) + 1
    return tokens[:count], weights[:count]


def _largest(logits: Row, k: int) -> TokenIds:
    """Ids of the k largest logits, or of all that may come, descending; at equal logits the lower id first.

    The k-th largest of the column groups' maxima bounds the k-th largest logit from below, so that
    only the few logits above it need sorting: 10 times faster than a partition of the whole row.
    """
    columns = logits.size // _GROUP
    if columns < k:
        candidates = np.arange(logits.size)
    else:
        maxima = logits[: columns * _GROUP].reshape(_GROUP, columns).max(axis=0)
        bound = np.partition(maxima, columns - k)[columns - k]
        # Those that a grammar rules out are no candidates, however few are left.
        is_bounded = bound > -np.inf
        candidates = np.flatnonzero(logits >= bound if is_bounded else logits > bound)
    return candidates[np.argsort(-logits[candidates], kind="stable")[:k]]


def _check_number(value: object, low: float, high: float, words: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    require(
        is_number and low <= value <= high,  # type: ignore[operator]  # NaN is in no range
        f"{words} must be a number from {low:g} to {high:g}.",
    )


def _check_whole_number(value: object, low: int, high: int, words: str) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    require(
        is_whole and low <= value <= high,  # type: ignore[operator]
        f"{words} must be a whole number from {low} to {high}.",
    )


def _check_stop(stop: object) -> None:
    is_tuple = isinstance(stop, tuple) and len(stop) <= _MAX_STOPS
    require(
        is_tuple and all(isinstance(s, str) and 0 < len(s) <= _MAX_STOP_LENGTH for s in stop),  # type: ignore[attr-defined]
        f"Stop strings must be at most {_MAX_STOPS} texts, none of them empty or longer than "
        f"{_MAX_STOP_LENGTH} characters.",
    )
