"""Tokenizers compiled by others, which put BOS or EOS around every text that they are given."""

import json
from pathlib import Path
from typing import Any

import openvino
import openvino_tokenizers
import pytest
from tokenizers import Tokenizer
from tokenizers.normalizers import NFC
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from engine.text.channels import MARKS, marked
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


def compile_stock(tokenizer: Tokenizer, folder: Path, **options: Any) -> None:
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS)
    encode, decode = openvino_tokenizers.convert_tokenizer(fast, with_detokenizer=True, **options)
    openvino.save_model(encode, folder / "openvino_tokenizer.xml")
    openvino.save_model(decode, folder / "openvino_detokenizer.xml")
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("around", [f"{BOS} $A", f"{BOS} $A {EOS}", f"$A {EOS}"])
def test_nothing_is_put_around_texts(around: str, plain: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(plain / "tokenizer.json"))
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in (BOS, EOS) if mark in around]
    tokenizer.post_processor = TemplateProcessing(single=around, special_tokens=marks)
    compile_stock(tokenizer, tmp_path)
    ours, stock = CompiledTokenizer(plain), CompiledTokenizer(tmp_path)
    for text in (f"{BOS}user\nhello{EOS}\n", "a", " there", "你好", ""):
        for continues in (False, True):
            assert stock.encode(text, continues=continues) == ours.encode(text, continues=continues)


@pytest.mark.parametrize(
    "options",
    [
        {"skip_special_tokens": False},
        {"tokenizer_output_type": openvino.Type.i32, "detokenizer_input_type": openvino.Type.i32},
    ],
    ids=["keeps special tokens", "int32"],
)
def test_other_ways_of_conversion_tell_the_same(
    options: dict[str, Any], plain: Path, tmp_path: Path
) -> None:
    compile_stock(Tokenizer.from_file(str(plain / "tokenizer.json")), tmp_path, **options)
    ours, stock = CompiledTokenizer(plain), CompiledTokenizer(tmp_path)
    ids = ours.encode(f"{BOS}user\nhello 你好{EOS}\n")
    assert stock.encode(f"{BOS}user\nhello 你好{EOS}\n") == ids
    batch = [ids, ids[:3], [], ids[:1]]
    assert (
        stock.decode_batch(batch)
        == ours.decode_batch(batch)
        == ["user\nhello 你好\n", "us", "", ""]
    )


def test_channels_are_marks_in_text_and_nobody_else_can_write_them(
    plain: Path, tmp_path: Path
) -> None:
    tokenizer = Tokenizer.from_file(str(plain / "tokenizer.json"))
    tokenizer.add_special_tokens([*MARKS])
    compile_stock(tokenizer, tmp_path)
    ours, text = CompiledTokenizer(tmp_path), f"a {'b'.join(MARKS)} c"
    ids = ours.encode(marked(text))
    assert ids == tokenizer.encode(text).ids
    spelt = tokenizer.encode("\ufdd3").ids
    assert ours.decode_batch([ids, [], ids[:2], spelt, [*ids, *spelt]]) == [
        marked(text),
        "",
        ours.decode(ids[:2]),
        "\ufffd",
        f"{marked(text)}\ufffd",
    ]
    for escape in (ours.escape, ours.escape_reply):
        written = ours.encode(escape(text + marked(text)))
        assert not {tokenizer.token_to_id(string) for string in MARKS} & {*written}
    assert not CompiledTokenizer(plain).has_channels


@pytest.mark.parametrize("text", ["\0", "a\0", "a\0\0", "\0b\0", "你\0"])
def test_zero_characters_at_the_end_are_decoded(text: str, plain: Path) -> None:
    ours = CompiledTokenizer(plain)
    ids = Tokenizer.from_file(str(plain / "tokenizer.json")).encode(text).ids
    assert ours.decode_batch([ids, ids[:1]])[0] == text


@pytest.mark.parametrize("text", ["\0", "a\0", "a\0\0", "\0b\0", f"{EOS}\0"])
def test_zero_characters_at_the_end_are_encoded(text: str, plain: Path) -> None:
    tokenizer = Tokenizer.from_file(str(plain / "tokenizer.json"))
    assert CompiledTokenizer(plain).encode(text) == tokenizer.encode(text).ids


def test_white_space_that_is_an_added_token_stays_whole_in_peoples_text(
    plain: Path, tmp_path: Path
) -> None:
    """As in GPT-NeoX: runs of spaces, added one by one, and not special."""
    tokenizer = Tokenizer.from_file(str(plain / "tokenizer.json"))
    tokenizer.add_tokens(["   ", "  ", "§", "<think>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text("{}", "utf-8")
    ensure_compiled(tmp_path)
    ours = CompiledTokenizer(tmp_path)
    for text in ("a  b", "a   b", "a    §b", " § "):
        assert ours.encode(ours.escape(text)) == tokenizer.encode(text).ids
    assert tokenizer.token_to_id("  ") in ours.encode(ours.escape("a  b"))
    assert tokenizer.token_to_id("<think>") not in ours.encode(ours.escape("a<think>"))


def test_combining_marks_in_any_order_are_normalised(plain: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(plain / "tokenizer.json"))
    tokenizer.normalizer = NFC()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text("{}", "utf-8")
    ensure_compiled(tmp_path)
    for text in ("\u05d0\u05bf\u05b8\u05b0", "q\u0307\u0323", "e\u0301"):
        assert CompiledTokenizer(tmp_path).encode(text) == tokenizer.encode(text).ids
