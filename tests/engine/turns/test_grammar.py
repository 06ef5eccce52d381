"""Replies that keep to a grammar, whatever the model would rather say; the neighbours are free."""

import json

import pytest

from engine.events import FinishReason
from engine.grammars import Grammar
from engine.scheduling.sampling import SamplingParams
from engine.turns.turn import TurnRequest
from tests.engine.fakes import endless, saying
from tests.engine.rig import GREEDY, Asked, Rig, make_rig

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"enum": [1, 22]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
LONG = SamplingParams(temperature=0, max_tokens=400)
WORDS = Grammar("regex", "(the|a| ){3,30}end")


def ask(rig: Rig, grammar: Grammar, name: str = "one", params: SamplingParams = GREEDY) -> Asked:
    rig.session(name)
    asked = rig.begin("Who?", name, params, grammar=rig.core.parts.grammars.constraint(grammar))
    rig.run()
    return asked


@pytest.mark.parametrize("temperature", [0.0, 0.7, 2.0])
def test_whatever_the_model_would_say_the_reply_is_json_of_the_schema(temperature: float) -> None:
    rig = make_rig(num_blocks=300, choose=endless)
    params = SamplingParams(temperature=temperature, max_tokens=400, seed=1)
    asked = ask(rig, Grammar.of_schema(SCHEMA), params=params)
    told = json.loads(asked.text)
    assert asked.reason is FinishReason.STOP
    assert set(told) == {"name", "age"}
    assert len(told["name"]) <= 5
    assert told["age"] in (1, 22)
    rig.check()


def test_what_the_grammar_allows_is_said_as_without_it() -> None:
    free = make_rig(choose=saying("the a the end")).chat("Who?")
    bound = ask(make_rig(choose=saying("the a the end")), WORDS)
    assert bound.text == free.text == "the a the end"


def test_a_reply_that_is_cut_off_is_the_beginning_of_one() -> None:
    params = SamplingParams(temperature=0, max_tokens=3)
    asked = ask(make_rig(choose=saying("the a the end")), WORDS, params=params)
    assert (asked.text, asked.reason) == ("the", FinishReason.LENGTH)


def test_neighbours_are_free() -> None:
    rig, alone = make_rig(num_blocks=300, choose=endless), make_rig(num_blocks=300, choose=endless)
    expected = alone.chat("Hello").text
    constraint = rig.core.parts.grammars.constraint(Grammar.of_schema(SCHEMA))
    bound = rig.begin("Who?", "two", LONG, grammar=constraint)
    free = rig.begin("Hello")
    rig.run()
    assert free.text == expected
    assert json.loads(bound.text)["age"] in (1, 22)


def test_guesses_change_nothing() -> None:
    schema = Grammar.of_schema({"type": "array", "items": {"const": "abcabc"}, "minItems": 6})
    texts = [
        ask(make_rig(num_blocks=300, choose=endless, speculation=on), schema, params=LONG).text
        for on in (False, True)
    ]
    assert texts[0] == texts[1]
    assert texts[0].count("abcabc") >= 6


def test_the_next_turn_reads_nothing_of_it_again() -> None:
    rig = make_rig(num_blocks=300, choose=endless)
    ask(rig, Grammar.of_schema(SCHEMA), params=LONG)
    before = len(rig.tokens())
    assert rig.chat("And?").figures.reused_tokens >= before - 1


def test_raw_text_goes_on_under_a_grammar() -> None:
    rig = make_rig(choose=endless)
    constraint = rig.core.parts.grammars.constraint(WORDS)
    asked = rig.submit(TurnRequest(None, "Say", GREEDY, lambda _: None, constraint=constraint))
    rig.run()
    assert asked.text.endswith("end")
