"""The chat templates kept for models that ship none give the families' published formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import RequestError
from engine.text.chat_template import ChatTemplate, Message
from export.templates import builtin_template, gguf_template

SYSTEM, ASK, REPLY, AGAIN = (
    Message("system", "Be brief."),
    Message("user", "Hi <b>"),
    Message("assistant", "Hello."),
    Message("user", "你好"),
)


def render(model_type: str, name: str, *messages: Message) -> str:
    source = builtin_template(model_type, Path("/models") / name)
    assert source is not None
    template = ChatTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"})
    return template.render(messages)


def test_llama2_chat() -> None:
    name = "Llama-2-7b-chat-hf"
    assert render("llama", name, ASK) == "<s>[INST] Hi <b> [/INST]"
    assert render("llama", name, SYSTEM, ASK, REPLY, AGAIN) == (
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi <b> [/INST] Hello. </s><s>[INST] 你好 [/INST]"
    )


def test_llama2_strips_messages_but_not_their_insides() -> None:
    ask = Message("user", "  a\n\n  b \n")
    assert render("llama", "llama-2-13b-chat", ask) == "<s>[INST] a\n\n  b [/INST]"


def test_llama2_refuses_two_questions_in_a_row() -> None:
    with pytest.raises(RequestError, match="alternate"):
        render("llama", "llama-2-7b-chat", ASK, AGAIN)


def test_chatglm3() -> None:
    assert render("chatglm", "chatglm3-6b", SYSTEM, ASK, REPLY, AGAIN) == (
        "[gMASK]<sop><|system|>\n Be brief.<|user|>\n Hi <b><|assistant|>\n Hello."
        "<|user|>\n 你好<|assistant|>"
    )


def test_chatglm3_keeps_the_white_space_of_messages() -> None:
    ask = Message("user", "\n  a \n")
    rendered = render("chatglm", "chatglm3-6b-32k", ask)
    assert rendered == "[gMASK]<sop><|user|>\n \n  a \n<|assistant|>"


def test_chatglm2() -> None:
    assert render("chatglm", "chatglm2-6b", ASK, REPLY, AGAIN) == (
        "[gMASK]<sop>[Round 1]\n\n问：Hi <b>\n\n答：Hello.\n\n[Round 2]\n\n问：你好\n\n答："
    )


def test_chatglm2_puts_a_system_prompt_before_the_rounds() -> None:
    rendered = render("chatglm", "chatglm2-6b-int4", SYSTEM, ASK)
    assert rendered == "[gMASK]<sop>Be brief.\n\n[Round 1]\n\n问：Hi <b>\n\n答："


@pytest.mark.parametrize(
    ("model_type", "name"),
    [
        ("llama", "Llama-2-7b-hf"),
        ("llama", "TinyLlama-1.1B-intermediate"),
        ("llama", "Meta-Llama-3-8B"),
        ("chatglm", "chatglm3-6b-base"),
        ("qwen2", "Qwen2.5-0.5B"),
        ("qwen2", "llama-2-7b-chat"),
    ],
)
def test_base_and_unknown_models_have_no_template(model_type: str, name: str) -> None:
    assert builtin_template(model_type, Path("/models") / name) is None


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("models--meta-llama--Llama-2-7b-chat-hf/snapshots/0f1e2d", "[INST]"),
        ("llama_2_7b_chat", "[INST]"),
        ("meta-llama/Llama-2-7b-hf", None),
    ],
)
def test_a_model_is_known_by_the_end_of_its_path(folder: str, expected: str | None) -> None:
    found = builtin_template("llama", Path("/hub") / folder)
    assert (found is not None and expected in found) if expected else found is None


def test_a_model_is_known_by_its_configuration(tmp_path: Path) -> None:
    assert builtin_template("chatglm", tmp_path) is None
    config = json.dumps({"_name_or_path": "THUDM/chatglm3-6b"})
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    found = builtin_template("chatglm", tmp_path)
    assert found is not None
    assert "<sop>" in found


@pytest.mark.parametrize(("code", "mark"), [("['<|user|>']", "'|>\\n '"), ("['sop']", "[Round ")])
def test_a_chatglm_is_known_by_its_code(code: str, mark: str, tmp_path: Path) -> None:
    (tmp_path / "tokenization_chatglm.py").write_text(code, encoding="utf-8")
    found = builtin_template("chatglm", tmp_path)
    assert found is not None
    assert mark in found


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, None),
        ({"chat_template": "yes"}, "yes"),
        ({"chat_template": "yes", "chat_templates": ["a"], "chat_template.a": "no"}, "yes"),
        ({"chat_templates": ["rag", "a"], "chat_template.rag": "no", "chat_template.a": "yes"}, "yes"),
        ({"chat_templates": ["rag"], "chat_template.rag": "yes"}, "yes"),
        ({"chat_templates": ["lost"]}, None),
    ],
)  # fmt: skip
def test_a_gguf_files_template_is_its_default_one_or_that_for_talk(
    keys: dict[str, object], expected: str | None
) -> None:
    """Keys as llama.cpp's converter names them."""
    assert gguf_template(keys.get) == expected
