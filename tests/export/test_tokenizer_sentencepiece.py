"""The real Llama 2 and ChatGLM tokenizers, against the sentencepiece library.

Their files are not ours to ship: WARMCHAT_TEST_DATA names the folder that holds them.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from gguf import GGUFReader, GGUFWriter

from engine.text.chat_template import Message, read_chat_template
from engine.text.tokenizer import Tokenizer as EngineTokenizer
from export.errors import ExportError
from export.tokenizer import TokenizerSource, from_directory, from_gguf, write
from export.tokenizers.sentencepiece_model import read_sentencepiece
from tests import ROOT
from tests.export.tokenizer_texts import CompiledPair, assert_same, texts

DATA = Path(os.environ.get("WARMCHAT_TEST_DATA", ROOT.parent / "shared" / "data"))
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")


def model_file(family: str) -> Path:
    path = DATA / f"{family}_tokenizer" / "tokenizer.model"
    if not path.is_file():
        pytest.skip(f"{path} is absent; set WARMCHAT_TEST_DATA to the folder that holds it")
    return path


class Exported:
    """One tokenizer, exported under a model name, beside the sentencepiece library's own."""

    def __init__(self, file: Path, folder: Path, model_type: str) -> None:
        folder.mkdir()
        shutil.copy(file, folder / "tokenizer.model")
        self.source: TokenizerSource = from_directory(folder, model_type)
        self.folder = folder / "exported"
        self.folder.mkdir()
        write(self.source, self.folder)
        self.compiled = CompiledPair(self.folder)
        self.sentencepiece: Any = sentencepiece.SentencePieceProcessor(model_file=str(file))

    def prompt_ids(self, *messages: tuple[str, str]) -> list[int]:
        template = read_chat_template(self.folder)
        assert template is not None
        return self.compiled.encode(template.render([Message(*message) for message in messages]))


@pytest.fixture(scope="module")
def llama2(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("llama") / "Llama-2-7b-chat-hf"
    return Exported(model_file("llama2"), folder, "llama")


@pytest.fixture(scope="module")
def chatglm3(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("chatglm3") / "chatglm3-6b"
    return Exported(model_file("chatglm"), folder, "chatglm")


@pytest.fixture(scope="module")
def chatglm2(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("chatglm2") / "chatglm2-6b"
    return Exported(model_file("chatglm"), folder, "chatglm")


@pytest.fixture(params=["llama2", "chatglm3"])
def either(request: pytest.FixtureRequest) -> Exported:
    exported = request.getfixturevalue(request.param)
    assert isinstance(exported, Exported)
    return exported


def test_ids_and_text_equal_sentencepiece(either: Exported) -> None:
    # Sentencepiece takes the empty text's prefix for nothing, and so do we.
    own = either.sentencepiece
    assert_same(either.compiled, texts(900), own.encode, own.decode)


def test_no_special_token_is_added_by_encoding(either: Exported) -> None:
    assert either.compiled.encode("hello") == either.sentencepiece.encode("hello")
    assert either.compiled.encode("") == []


def test_a_text_continues_behind_a_line_break(either: Exported) -> None:
    """The engine encodes continuations behind an anchor and cuts its ids off again."""
    anchor = either.compiled.encode("\n")
    assert len(anchor) == 2
    for text in texts(400):
        assert either.compiled.encode("\n" + text)[: len(anchor)] == anchor, repr(text)


def test_continuations_behind_the_anchor_join_to_the_whole(either: Exported) -> None:
    anchor = either.compiled.encode("\n")
    for text in texts(400):
        whole = either.sentencepiece.encode(f"intro\n{text}")
        tail = either.compiled.encode(f"\n{text}")[len(anchor) :]
        assert either.compiled.encode("intro\n") + tail == whole, repr(text)


def test_a_text_behind_a_special_token_gets_its_own_space(either: Exported) -> None:
    special = "<s>" if either.source.completion_prefix == "<s>" else "<|user|>"
    for text in texts(320):
        ids = either.compiled.encode(special + text)
        assert ids[1:] == either.sentencepiece.encode(text), repr(text)


def test_people_cannot_write_special_tokens(either: Exported) -> None:
    tokenizer = EngineTokenizer(either.folder)
    special = set(tokenizer.special_tokens.values())
    text = "[gMASK]<sop>soprano sop<|user|>\n hi</s><s><unk><|assistant|>"
    ids = tokenizer.encode(tokenizer.escape(text))
    assert special.isdisjoint(ids)
    assert not special.isdisjoint(tokenizer.encode(text))


def test_llama2_prompts_equal_metas(llama2: Exported) -> None:
    own = llama2.sentencepiece
    first = own.encode("[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi there [/INST] Hello! ")
    then = own.encode("[INST] And  you? [/INST]")
    ids = llama2.prompt_ids(
        ("system", "Be brief."),
        ("user", "Hi there "),
        ("assistant", "Hello! "),
        ("user", "And  you?\n"),
    )
    assert ids == [1, *first, 2, 1, *then]
    assert ids.count(1) == 2  # one BOS a round, none doubled


def test_llama2_source_names_its_tokens(llama2: Exported) -> None:
    source = llama2.source
    assert (source.bos_token, source.eos_token, source.unk_token) == ("<s>", "</s>", "<unk>")
    assert source.eos_token_ids == (2,)
    assert source.completion_prefix == "<s>"


def test_llama2_base_has_no_template(tmp_path: Path) -> None:
    shutil.copy(model_file("llama2"), tmp_path / "tokenizer.model")
    assert from_directory(tmp_path, "llama").chat_template is None


def test_llama2_gguf_metadata_gives_the_same_ids(tmp_path: Path, llama2: Exported) -> None:
    model = read_sentencepiece(model_file("llama2"))
    writer = GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.text for piece in model.pieces])
    writer.add_token_scores([piece.score for piece in model.pieces])
    writer.add_token_types([piece.kind for piece in model.pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    source = from_gguf(GGUFReader(tmp_path / "model.gguf"))
    write(source, tmp_path)
    own = llama2.sentencepiece
    assert_same(CompiledPair(tmp_path), texts(400), own.encode, own.decode)
    assert source.completion_prefix == "<s>"


def test_chatglm_special_ids(chatglm3: Exported) -> None:
    added = json.loads((chatglm3.folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    ids = {token["content"]: int(i) for i, token in added["added_tokens_decoder"].items()}
    assert ids["[gMASK]"] == 64790
    assert ids["<sop>"] == 64792
    assert [ids[role] for role in ROLES] == [64794, 64795, 64796, 64797]
    assert "sop" not in ids
    assert chatglm3.compiled.encode("[gMASK]<sop>") == [64790, 64792]
    assert chatglm3.source.eos_token_ids == (2, 64795, 64797)


@pytest.mark.parametrize("text", ["soprano", "sop", "a sop b", "people eop", "gMASK", "MASK"])
def test_no_chatglm_word_holds_a_special_token(chatglm3: Exported, text: str) -> None:
    ids = chatglm3.compiled.encode(text)
    assert ids == chatglm3.sentencepiece.encode(text)
    assert max(ids) < 64789


def test_chatglm3_prompt_equals_the_published_ids(chatglm3: Exported) -> None:
    """The ids that ChatGLM3's own `build_chat_input` gives: its repository's issue 127."""
    system = (
        "You are ChatGLM3, a large language model trained by Zhipu.AI. "
        "Follow the user's instructions carefully. Respond using markdown."
    )
    reply = "你好👋！我是ChatGLM3，很高兴见到你，欢迎问我任何问题。"
    ids = chatglm3.prompt_ids(
        ("system", system), ("user", "你好"), ("assistant", reply), ("user", "你是谁")
    )
    # fmt: off
    assert ids == [
        64790, 64792, 64794, 30910, 13, 809, 383, 22011, 10461, 30944, 30966, 30932, 260, 1796,
        3239, 2092, 7594, 422, 1192, 899, 30923, 30930, 23833, 30930, 5741, 267, 2795, 30953,
        30917, 8417, 7724, 30930, 21911, 1227, 3478, 3536, 30930, 64795, 30910, 13, 36474, 54591,
        64796, 30910, 13, 36474, 54591, 243, 162, 148, 142, 31404, 33030, 30942, 1960, 10461,
        30944, 30966, 31123, 48895, 35214, 54622, 31123, 32616, 39905, 31901, 31639, 31155, 64795,
        30910, 13, 30910, 34607, 55622, 64796,
    ]
    # fmt: on


def test_chatglm3_messages_are_encoded_each_on_their_own(chatglm3: Exported) -> None:
    """`build_single_message`: the role's id, the line break, then the message by itself."""
    own = chatglm3.sentencepiece
    for text in texts(320):
        ids = chatglm3.prompt_ids(("user", text + "."))
        assert ids == [64790, 64792, 64795, *own.encode("\n"), *own.encode(text + "."), 64796]


def test_chatglm2_prompts_equal_its_rounds(chatglm2: Exported) -> None:
    rounds = "[Round 1]\n\n问：你好\n\n答：你好！\n\n[Round 2]\n\n问：晚上睡不着\n\n答："
    ids = chatglm2.prompt_ids(("user", "你好"), ("assistant", "你好！"), ("user", "晚上睡不着"))
    assert ids == [64790, 64792, *chatglm2.sentencepiece.encode(rounds)]


def test_a_shipped_chatglm_template_is_respelled(tmp_path: Path) -> None:
    """ChatGLM3's later releases ship a template and tokens that spell <sop> as `sop`."""
    shutil.copy(model_file("chatglm"), tmp_path / "tokenizer.model")
    config = {
        "chat_template": "[gMASK]sop<|user|>\n {{ messages[0]['content'] }}<|assistant|>",
        "added_tokens_decoder": {"64792": {"content": "sop", "special": True}},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    source = from_directory(tmp_path, "chatglm")
    assert source.chat_template is not None
    assert source.chat_template.startswith("[gMASK]<sop><|user|>")
    assert source.tokenizer.token_to_id("<sop>") == 64792


@pytest.mark.parametrize("size", [0, 1, 20, 5000, -40, -1])
def test_a_truncated_model_is_refused(size: int, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(model_file("llama2").read_bytes()[:size])
    with pytest.raises(ExportError, match="not a complete sentencepiece BPE model"):
        from_directory(tmp_path, "llama")


def test_a_tiktoken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\nIw== 2\n")
    with pytest.raises(ExportError, match="not a complete sentencepiece BPE model"):
        from_directory(tmp_path, "chatglm")
