"""Templates that drop earlier <think> blocks, as Qwen3's: what stays of the KV, counted in tokens."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from engine.events import Thinking
from engine.scheduling.sampling import SamplingParams
from engine.scheduling.sequence import common_length
from engine.text.chat_template import ChatTemplate, Message
from engine.text.ledger import Ledger, Segment
from engine.text.tokenizer import Tokenizer as CompiledTokenizer
from export.tokenizer import ensure_compiled
from tests.engine.fakes import PIECE_IDS, saying
from tests.engine.rig import Rig, make_rig
from tests.export.checkpoints import byte_level_vocabulary

# Qwen3's rules in a few lines: replies lose their thoughts as soon as another question follows;
# without thinking, the reply begins behind an empty thought.
QWEN3 = """\
{%- set ns = namespace(last=0) %}
{%- for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' and '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
THOUGHT, ANSWER = "<think>\nThey ask for a capital.\n</think>\n\n", "It is Paris."
FIRST = "<|im_start|>user\nCapital?<|im_end|>\n<|im_start|>assistant\n"
LONG = SamplingParams(temperature=0, max_tokens=200)
SECOND = "<|im_end|>\n<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n"


def thinking_rig(*reply: int | str) -> Rig:
    return make_rig(num_blocks=200, template=QWEN3, choose=saying(*reply))


def test_only_what_stands_behind_a_dropped_thought_is_prefilled_again() -> None:
    rig = thinking_rig(THOUGHT, ANSWER)
    assert rig.chat("Capital?", params=LONG).text == THOUGHT + ANSWER
    figures = rig.chat("Sure?", params=LONG).figures
    assert figures.reused_tokens == len(rig.tokenizer.encode(FIRST))
    assert figures.prefilled_tokens == len(rig.tokenizer.encode(ANSWER + SECOND))
    rig.check()


def test_the_third_turn_keeps_the_first_answer() -> None:
    rig = thinking_rig(THOUGHT, ANSWER)
    for question in ("Capital?", "Sure?"):
        rig.chat(question, params=LONG)
    figures = rig.chat("Sure?", params=LONG).figures
    assert figures.reused_tokens == len(rig.tokenizer.encode(FIRST + ANSWER + SECOND))
    assert figures.prefilled_tokens == len(rig.tokenizer.encode(ANSWER + SECOND))


def test_the_answer_without_its_thought_is_prefilled_while_people_read() -> None:
    rig = thinking_rig(THOUGHT, ANSWER)
    rig.chat("Capital?", params=LONG)
    rig.rest()
    figures = rig.chat("Sure?", params=LONG).figures
    assert figures.prefilled_tokens == len(rig.tokenizer.encode(SECOND)) - len(
        rig.tokenizer.encode("<|im_end|>\n<|im_start|>user\n")
    )


EMPTY = "<think>\n\n</think>\n\n"


def test_without_thinking_nothing_is_read_again() -> None:
    """The empty thought that the prompt ended with stays, though the template prints none behind it."""
    rig = thinking_rig(EMPTY, ANSWER)  # counts from "assistant": the prompt's part is said already
    for question in ("Capital?", "Sure?", "Sure?"):
        before = len(rig.tokens())
        figures = rig.chat(question, params=LONG, enable_thinking=False).figures
        assert figures.reused_tokens == before
        rig.check()
    assert figures.prefilled_tokens == len(rig.tokenizer.encode(SECOND + EMPTY))


def test_a_thought_without_a_word_that_the_model_wrote_stays_with_its_answer() -> None:
    """As Qwen3 does behind a question with /no_think."""
    rig = thinking_rig(EMPTY, ANSWER)
    rig.chat("Capital?", params=LONG)
    before = len(rig.tokens())
    assert rig.chat("Sure?", params=LONG).figures.reused_tokens == before


# As DeepSeek-R1's: the prompt opens the thoughts.
OPENED = QWEN3.replace("assistant\\n' }}\n    {%- if", "assistant\\n<think>\\n' }}\n    {%- if")


@pytest.mark.parametrize("reply", [ANSWER, "\n</think>\n\n" + ANSWER])
def test_an_answer_without_thoughts_stays_where_the_prompt_had_opened_some(reply: str) -> None:
    rig = make_rig(num_blocks=200, template=OPENED, choose=saying("<think>\n", reply))
    for question in ("Capital?", "Sure?", "Sure?"):
        before = len(rig.tokens())
        figures = rig.chat(question, params=LONG).figures
        assert figures.reused_tokens == before
        rig.check()
    assert figures.prefilled_tokens == len(rig.tokenizer.encode(SECOND + "<think>\n"))
    assert rig.session().messages[1].content == reply


def test_an_answer_behind_opened_thoughts_is_read_again_while_people_read() -> None:
    """The template drops what was thought, so the model must not see it any more."""
    thought = "Hm.\n</think>\n\n"
    rig = make_rig(num_blocks=200, template=OPENED, choose=saying("<think>\n", thought, ANSWER))
    rig.chat("Capital?", params=LONG)
    rig.rest()
    figures = rig.chat("Sure?", params=LONG).figures
    assert "Hm." not in rig.tokenizer.decode(rig.tokens())
    read_ahead = len(rig.tokenizer.encode("<|im_end|>\n<|im_start|>user\n"))
    assert figures.prefilled_tokens == len(rig.tokenizer.encode(SECOND + "<think>\n")) - read_ahead


def test_an_answer_behind_opened_thoughts_is_moved_where_kv_may_be_shifted() -> None:
    """As with --overflow shift: nothing is read again, and traces of the thoughts stay."""
    thought, answer = "Hm.\n</think>\n\n", f"{ANSWER} Paris it is."
    rig = make_rig(
        num_blocks=200, template=OPENED, choose=saying("<think>\n", thought, answer), shifts=True
    )
    rig.chat("Capital?", params=LONG)
    figures = rig.chat("Sure?", params=LONG).figures
    assert "Hm." not in rig.tokenizer.decode(rig.tokens())
    assert figures.prefilled_tokens == len(rig.tokenizer.encode(SECOND + "<think>\n"))


def test_an_edited_answer_keeps_the_empty_thought_and_what_is_in_front_of_the_change() -> None:
    rig = thinking_rig(EMPTY, ANSWER)
    rig.chat("Capital?", params=LONG, enable_thinking=False)
    rig.edit(1, "It is Lyon.")
    figures = rig.chat("Sure?", params=LONG, enable_thinking=False).figures
    assert figures.reused_tokens == len(rig.tokenizer.encode(FIRST + EMPTY + "It is "))


def test_an_answer_in_other_words_is_not_taken_for_the_models() -> None:
    rig = thinking_rig(EMPTY, ANSWER)
    rig.chat("Capital?", params=LONG, enable_thinking=False)
    rig.edit(1, "Lyon.")
    figures = rig.chat("Sure?", params=LONG, enable_thinking=False).figures
    assert figures.reused_tokens == len(rig.tokenizer.encode(FIRST))


def test_answers_behind_turns_that_are_left_out_keep_their_ids_without_thinking_too() -> None:
    piece = PIECE_IDS["the"]
    rig = make_rig(num_blocks=128, template=QWEN3, choose=saying(EMPTY, piece, piece))
    for number in range(9):
        asked = rig.chat(
            f"{number} is a question of several words", params=LONG, enable_thinking=False
        )
    assert asked.figures.first_visible > 0, "the context has overflown"
    assert rig.tokens().count(piece) == 2 * (9 - asked.figures.first_visible // 2)
    rig.check()


@pytest.fixture(scope="module")
def qwen3_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CompiledTokenizer:
    """Byte-level, with Qwen3's added tokens: <think> is one token, and not a special one."""
    folder = tmp_path_factory.mktemp("qwen3")
    vocabulary = {token: i for i, token in enumerate(byte_level_vocabulary())}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("h", "e"), ("l", "l")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}), "utf-8")
    ensure_compiled(Path(folder))
    return CompiledTokenizer(folder)


def test_a_real_tokenizer_keeps_the_tokens_up_to_the_thought(
    qwen3_tokenizer: CompiledTokenizer,
) -> None:
    encode, template = qwen3_tokenizer.encode, ChatTemplate(QWEN3, {})
    question, again = Message("user", "Capital?"), Message("user", "Sure?")
    first = template.render([question])
    reply = encode(THOUGHT + ANSWER)
    ends = [len(qwen3_tokenizer.decode(reply[: i + 1])) for i in range(len(reply))]
    text = qwen3_tokenizer.decode(reply)
    assert text == THOUGHT + ANSWER, "thoughts are shown, so their marks are not left out"
    ledger = Ledger((Segment(first, len(encode(first))),)).with_reply(text, ends)
    tokens = encode(first) + reply
    following = template.render([question, Message("assistant", text), again])
    plan = ledger.plan(following, tokens, lambda rest, _: encode(rest))
    assert tokens[: plan.num_kept] + plan.new_tokens == encode(following)
    assert plan.num_kept == common_length(tokens, encode(following)) == len(encode(first))
    assert len(plan.new_tokens) == len(encode(ANSWER + SECOND))


def test_a_real_tokenizer_takes_marks_in_questions_for_ordinary_text(
    qwen3_tokenizer: CompiledTokenizer,
) -> None:
    mark = qwen3_tokenizer.special_tokens["</think>"]
    assert mark in qwen3_tokenizer.encode("</think>")
    assert mark not in qwen3_tokenizer.encode(qwen3_tokenizer.escape("</think>"))
    assert mark in qwen3_tokenizer.encode(qwen3_tokenizer.escape_reply("</think>"))


@pytest.mark.parametrize(("template", "is_opened"), [(OPENED, True), (QWEN3, False)])
def test_a_reply_that_begins_inside_its_thoughts_says_so(template: str, is_opened: bool) -> None:
    rig = make_rig(num_blocks=200, template=template, choose=saying("Hm.</think>", ANSWER))
    told = rig.chat("Is it <think>\n", params=LONG)
    assert [isinstance(event, Thinking) for event in told.events].count(True) == is_opened
    assert told.figures.opens_thinking is is_opened
    assert (told.figures.thinking_s is not None) is is_opened
    assert not is_opened or isinstance(told.events[0], Thinking)


def test_how_long_thoughts_took_is_known_where_there_are_any() -> None:
    assert (
        thinking_rig(THOUGHT, ANSWER).chat("Capital?", params=LONG).figures.thinking_s is not None
    )
    assert thinking_rig(ANSWER).chat("Capital?", params=LONG).figures.thinking_s is None
    assert thinking_rig("<", ANSWER).chat("Capital?", params=LONG).figures.thinking_s is None
