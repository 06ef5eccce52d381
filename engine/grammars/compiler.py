"""From a grammar to what bounds a reply, for one model's vocabulary.

Owns: the vocabulary in llguidance's form, made when it is first asked for, and the thread that computes
masks. From any thread. Does not know: requests.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from llguidance import LLMatcher, LLTokenizer

from engine.errors import GrammarRefused
from engine.grammars.constraint import GrammarConstraint, Thoughts
from engine.grammars.grammar import Grammar

NO_VOCABULARY = (
    "This model has no tokenizer.json, without which its answers cannot keep to a grammar."
)
# Between JSON's parts: a space, or a new line with its indentation. A model that may go on with white
# space for ever would never end.
_SPACE = r"\x20|\x0A\x20{0,20}"
# The library follows rules that name one another, MAX_SOURCE / 8 at most, by recursion, some 4 KiB each, and
# ends the process where a thread's usual stack is too small for that. Only what is used of it takes memory.
_STACK_BYTES = 256 << 20
_STACK = Lock()
NOT_A_GRAMMAR = "The answer's grammar cannot be used: {reason}"


Made = TypeVar("Made")


class GrammarCompiler:
    """Makes constraints for replies of one model.

    vocabulary: the text of a tokenizer.json, or what llguidance takes in its place; None: there is none.
    vocab_size: the width of logits. end_tokens: what ends a reply. thoughts: how the model marks them.
    """

    def __init__(
        self,
        vocabulary: Any,
        vocab_size: int,
        end_tokens: Sequence[int],
        thoughts: Thoughts | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._vocab_size = vocab_size
        self._end_tokens = sorted(end_tokens)
        self._thoughts = thoughts
        self._lock = Lock()
        self._made: LLTokenizer | None = None
        self._executor = ThreadPoolExecutor(1, "grammar masks")

    @classmethod
    def of_model(
        cls,
        model_dir: Path,
        vocab_size: int,
        end_tokens: Sequence[int],
        thoughts: Thoughts | None = None,
    ) -> "GrammarCompiler":
        """Of a model directory, whose tokenizer.json is read when a grammar is first asked for."""
        file = model_dir / "tokenizer.json"
        vocabulary = file if file.is_file() else None
        return cls(vocabulary, vocab_size, end_tokens, thoughts)

    def constraint(self, grammar: Grammar) -> GrammarConstraint:
        """What bounds one reply.

        Takes milliseconds, the first time up to seconds. Raises GrammarRefused with the library's reason.
        """
        tokenizer, source = self._tokenizer(), _source(grammar)
        matcher = _with_room(lambda: LLMatcher(tokenizer, source, log_level=0))
        if matcher.is_error():
            raise GrammarRefused(NOT_A_GRAMMAR.format(reason=_line(matcher.get_error())))
        return GrammarConstraint(
            matcher, self._vocab_size, self._executor, self._thoughts, self._end_tokens
        )

    def close(self) -> None:
        """No mask is computed any more."""
        self._executor.shutdown(wait=True)

    def _tokenizer(self) -> LLTokenizer:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> LLTokenizer:
        vocabulary = self._vocabulary
        if isinstance(vocabulary, Path):
            vocabulary = vocabulary.read_text("utf-8")
        if vocabulary is None:
            raise GrammarRefused(NO_VOCABULARY)
        return LLTokenizer(vocabulary, n_vocab=self._vocab_size, eos_token=self._end_tokens)


def _with_room(make: Callable[[], Made]) -> Made:
    """What `make` comes to in a thread with a large stack."""
    made: Future[Made] = Future()

    def run() -> None:
        try:
            made.set_result(make())
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            made.set_exception(error)

    thread = threading.Thread(target=run, name="grammar", daemon=True)
    with _STACK:  # the size is that of all threads which begin meanwhile
        usual = threading.stack_size(_STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(usual)
    return made.result()


def _source(grammar: Grammar) -> str:
    """The grammar in llguidance's form. Raises GrammarRefused."""
    if grammar.kind == "regex":
        return LLMatcher.grammar_from_regex(grammar.source)
    if grammar.kind == "lark":
        return LLMatcher.grammar_from_lark(grammar.source)
    try:
        return LLMatcher.grammar_from_json_schema(
            grammar.source, overrides={"whitespace_pattern": _SPACE}
        )
    except ValueError as error:
        raise GrammarRefused(NOT_A_GRAMMAR.format(reason=_line(str(error)))) from None


def _line(reason: str) -> str:
    """The first line of what the library says."""
    lines = reason.strip().splitlines()
    return lines[0].rstrip(".") + "." if lines else "no reason was given."
