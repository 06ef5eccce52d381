"""Compiled tokenizers that came with a model: those that are not exact are compiled anew."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import openvino
import openvino_tokenizers
import pytest
from tokenizers import Tokenizer, decoders, models
from tokenizers import pre_tokenizers as pre
from tokenizers.normalizers import NFC
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from export.ready_made import take
from export.tokenizer import replace_inexact
from tests.export.tokenizer_texts import CompiledPair

TOKENIZER = "openvino_tokenizer.bin"


def own(*, ignore_merges: bool, **added: bool) -> Tokenizer:
    vocab = {letter: i for i, letter in enumerate(sorted(pre.ByteLevel.alphabet()))}
    model = models.BPE({**vocab, "word": 256}, [], ignore_merges=ignore_merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 257)])
    return tokenizer


def stock(tokenizer: Tokenizer, folder: Path, **options: Any) -> Path:
    """As on the hub: compiled by OpenVINO, with BOS in front of every text."""
    folder.mkdir()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
    encode, decode = openvino_tokenizers.convert_tokenizer(fast, with_detokenizer=True, **options)
    openvino.save_model(encode, folder / "openvino_tokenizer.xml")
    openvino.save_model(decode, folder / "openvino_detokenizer.xml")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def without_whole_words() -> Tokenizer:
    tokenizer = own(ignore_merges=False)
    vocab = {letter: i for i, letter in enumerate(sorted(pre.ByteLevel.alphabet()))}
    tokenizer.model = models.BPE({**vocab, "wo": 256}, [("w", "o")])
    return tokenizer


@pytest.mark.parametrize("normalizer", [None, NFC()], ids=["as it is", "NFC"])
def test_one_that_is_exact_stays(tmp_path: Path, normalizer: NFC | None) -> None:
    """With NFC as the engine uses it, which brings texts into that form itself."""
    tokenizer = without_whole_words()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    folder = stock(tokenizer, tmp_path / "model")
    before = (folder / TOKENIZER).stat().st_ino
    replace_inexact(folder)
    assert (folder / TOKENIZER).stat().st_ino == before


def test_one_that_is_not_exact_is_replaced_and_its_source_left_alone(tmp_path: Path) -> None:
    tokenizer = own(ignore_merges=True)
    cached = stock(tokenizer, tmp_path / "cache")
    text = "a sword, one word"
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    before = CompiledPair(cached).encode(text)
    assert before[1:] != expected
    folder = tmp_path / "model"
    folder.mkdir()
    take(cached, folder)
    assert CompiledPair(folder).encode(text) == expected
    assert CompiledPair(cached).encode(text) == before
    assert not list(folder.glob(".tokenizer-*"))


def test_one_without_tokenizer_json_stays(tmp_path: Path) -> None:
    folder = stock(own(ignore_merges=True), tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    before = (folder / TOKENIZER).stat().st_ino
    replace_inexact(folder)
    assert (folder / TOKENIZER).stat().st_ino == before


def test_one_that_cannot_be_compiled_here_stays_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = stock(own(ignore_merges=True), tmp_path / "model")
    (folder / "tokenizer.json").write_text("{}")
    before = (folder / TOKENIZER).stat().st_ino
    with caplog.at_level(logging.WARNING):
        replace_inexact(folder)
    assert "not what its tokenizer.json says" in caplog.text
    assert (folder / TOKENIZER).stat().st_ino == before
