"""A reply under a grammar, token by token, with the fake's bytes for tokens."""

import numpy as np
import pytest

from engine.errors import ConfigError, EngineFault, RequestError
from engine.grammars import Grammar, GrammarCompiler, GrammarConstraint
from engine.grammars.constraint import Thoughts
from engine.grammars.grammar import MAX_SOURCE
from tests.engine.fakes import EOS, SPECIAL_IDS, VOCAB_SIZE, FakeTokenizer

OPEN, CLOSE = SPECIAL_IDS["<|end|>"], SPECIAL_IDS["<|im_start|>"]
FREE = np.zeros(VOCAB_SIZE, np.float32)


def compiler_of(thoughts: Thoughts | None = None) -> GrammarCompiler:
    return GrammarCompiler(FakeTokenizer().vocabulary, VOCAB_SIZE, [EOS], thoughts)


def begun(
    grammar: Grammar,
    thoughts: Thoughts | None = None,
    *,
    may_think: bool = False,
    in_thoughts: bool = False,
) -> GrammarConstraint:
    constraint = compiler_of(thoughts).constraint(grammar)
    constraint.begin(may_think=may_think, in_thoughts=in_thoughts)
    return constraint


def allowed(constraint: GrammarConstraint) -> set[int]:
    return set(np.flatnonzero(~np.isneginf(constraint.restrict(FREE))).tolist())


def take(constraint: GrammarConstraint, text: str) -> None:
    for byte in text.encode():
        constraint.take(byte)


def test_only_what_the_grammar_goes_on_with_is_allowed() -> None:
    constraint = begun(Grammar("regex", "(abc|abd)x?"))
    assert allowed(constraint) == {ord("a")}
    take(constraint, "ab")
    assert allowed(constraint) == {*b"cd"}
    take(constraint, "d")
    assert allowed(constraint) == {ord("x"), EOS}
    take(constraint, "x")
    assert allowed(constraint) == {EOS}
    constraint.take(EOS)


def test_a_token_that_was_not_allowed_is_a_fault() -> None:
    constraint = begun(Grammar("regex", "ab"))
    with pytest.raises(EngineFault):
        constraint.take(ord("x"))


def test_guesses_are_right_as_far_as_the_grammar_goes() -> None:
    constraint = begun(Grammar("regex", "abcd"))
    assert constraint.num_valid([*b"abxd"]) == 2
    assert allowed(constraint) == {ord("a")}, "nothing was taken"


THOUGHTS = Thoughts(OPEN, (CLOSE, *b"!"))


def test_thoughts_are_free_and_the_grammar_begins_behind_them() -> None:
    constraint = begun(Grammar("regex", "abc"), THOUGHTS, may_think=True)
    assert allowed(constraint) == {ord("a"), OPEN}
    constraint.take(OPEN)
    assert allowed(constraint) == {*range(VOCAB_SIZE)} - {EOS}
    take(constraint, "xyz!")
    assert constraint.num_valid([*b"any"]) == 3
    constraint.take(CLOSE)
    assert EOS not in allowed(constraint)
    assert len(allowed(constraint)) == VOCAB_SIZE - 1
    take(constraint, "!")
    assert allowed(constraint) == {ord("a")}


def test_a_reply_that_may_think_need_not() -> None:
    constraint = begun(Grammar("regex", "abc"), THOUGHTS, may_think=True)
    assert constraint.num_valid([*b"abc"]) == 0, "no guesses before it is known"
    take(constraint, "a")
    assert allowed(constraint) == {ord("b")}


def test_what_opens_thoughts_may_also_begin_the_answer() -> None:
    """A channel's mark: `analysis` may follow it, or at once the channel of answers."""
    channels = Thoughts(OPEN, (OPEN, *b"final", CLOSE))
    constraint = begun(Grammar("regex", "abc"), channels, may_think=True)
    constraint.take(OPEN)
    take(constraint, "final")
    constraint.take(CLOSE)
    assert allowed(constraint) == {ord("a")}


def test_the_prompt_may_have_opened_the_thoughts() -> None:
    constraint = begun(Grammar("regex", "abc"), THOUGHTS, in_thoughts=True)
    assert OPEN in allowed(constraint)
    constraint.take(CLOSE)
    take(constraint, "!")
    assert allowed(constraint) == {ord("a")}


def test_a_model_that_is_not_to_think_does_not() -> None:
    constraint = begun(Grammar("regex", "abc"), THOUGHTS)
    assert allowed(constraint) == {ord("a")}


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        (Grammar.of_schema({"type": "object", "not": {}}), "not"),
        (Grammar("json_schema", "[1]"), "schema"),
        (Grammar("json_schema", "{"), "EOF"),
        (Grammar("regex", "(a"), "regex"),
        (Grammar("lark", "start: foo"), "foo"),
    ],
    ids=["keyword", "no object", "no JSON", "regex", "lark"],
)
def test_what_cannot_be_used_is_refused_with_the_reason(grammar: Grammar, reason: str) -> None:
    with pytest.raises(RequestError, match=f"(?i)grammar cannot be used: .*{reason}"):
        compiler_of().constraint(grammar)


def test_a_model_without_a_vocabulary_says_so() -> None:
    compiler = GrammarCompiler(None, VOCAB_SIZE, [EOS])
    with pytest.raises(RequestError, match=r"tokenizer\.json"):
        compiler.constraint(Grammar.of_any_object())


@pytest.mark.parametrize("source", ["", "a" * (MAX_SOURCE + 1)])
def test_a_grammar_has_a_size(source: str) -> None:
    with pytest.raises(ConfigError, match="characters"):
        Grammar("regex", source)


def test_white_space_ends() -> None:
    constraint = begun(Grammar.of_any_object())
    take(constraint, "{\n" + " " * 20)
    assert allowed(constraint).isdisjoint(b" \n\t\r")


def test_lark_may_hold_json() -> None:
    constraint = begun(Grammar("lark", 'start: "a" %json {"const": 1}'))
    take(constraint, "a1")
    assert allowed(constraint) == {EOS}


def test_rules_that_name_one_another_all_the_way_down_do_not_end_the_process() -> None:
    """Where the library's recursion did: 8,000 rules were too many for a thread's usual stack."""
    rules = [f"r{i:x}:r{i + 1:x}" for i in range(22_500)]
    source = "\n".join(["start:r0", *rules, f'r{len(rules):x}:"a"'])
    assert 0.9 * MAX_SOURCE < len(source) <= MAX_SOURCE
    assert allowed(begun(Grammar("lark", source))) == {ord("a")}
