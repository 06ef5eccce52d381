"""Tokenizers compiled by others, which put BOS or EOS around every text that they are given."""

import json
from pathlib import Path

import openvino
import openvino_tokenizers
import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from engine.text.tokenizer import Tokenizer as CompiledTokenizer
from export.tokenizer import ensure_compiled
from tests.export.folders import write_tokenizer

BOS, EOS = "<|im_start|>", "<|im_end|>"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), "utf-8")
    ensure_compiled(folder)
    return folder


@pytest.mark.parametrize("around", [f"{BOS} $A", f"{BOS} $A {EOS}", f"$A {EOS}"])
def test_nothing_is_put_around_texts(around: str, plain: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(plain / "tokenizer.json"))
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in (BOS, EOS) if mark in around]
    tokenizer.post_processor = TemplateProcessing(single=around, special_tokens=marks)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS)
    encode, decode = openvino_tokenizers.convert_tokenizer(fast, with_detokenizer=True)
    openvino.save_model(encode, tmp_path / "openvino_tokenizer.xml")
    openvino.save_model(decode, tmp_path / "openvino_detokenizer.xml")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours, stock = CompiledTokenizer(plain), CompiledTokenizer(tmp_path)
    for text in (f"{BOS}user\nhello{EOS}\n", "a", " there", "你好", ""):
        for continues in (False, True):
            assert stock.encode(text, continues=continues) == ours.encode(text, continues=continues)
