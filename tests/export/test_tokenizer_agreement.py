"""The check of compiled tokenizers: it finds what differs, and says it with the piece."""

from __future__ import annotations

import logging
import unicodedata
from pathlib import Path

import openvino as ov
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models
from tokenizers import pre_tokenizers as pre

from export.errors import ExportError
from export.tokenizer import TokenizerSource, write
from export.tokenizers import corpus
from export.tokenizers.agreement import check, differences
from export.tokenizers.corpus import texts

SCRIPTS = (
    *(
        "GREEK",
        "CYRILLIC",
        "ARMENIAN",
        "HEBREW",
        "ARABIC",
        "SYRIAC",
        "THAANA",
        "DEVANAGARI",
        "BENGALI",
    ),
    *("GURMUKHI", "GUJARATI", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO"),
    *("TIBETAN", "MYANMAR", "GEORGIAN", "HANGUL", "ETHIOPIC", "CHEROKEE", "KHMER", "MONGOLIAN"),
    *("HIRAGANA", "KATAKANA", "BOPOMOFO", "CJK", "YI", "GOTHIC", "CUNEIFORM", "MATHEMATICAL"),
)


def byte_level(**added: bool) -> Tokenizer:
    alphabet = sorted(pre.ByteLevel.alphabet())
    vocab = {letter: i for i, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab | {"ab": 256}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|end|>", **added)])
    return tokenizer


def compiled(tokenizer: Tokenizer, folder: Path) -> tuple[ov.Model, ov.Model]:
    folder.mkdir()
    write(TokenizerSource(tokenizer), folder)
    read = ov.Core().read_model
    return read(folder / "openvino_tokenizer.xml"), read(folder / "openvino_detokenizer.xml")


def test_the_corpus_covers_scripts_and_special_pieces() -> None:
    found = texts(["<|end|>", "<think>"])
    names = {unicodedata.name(letter, "").split(" ")[0] for text in found for letter in set(text)}
    assert names.issuperset(SCRIPTS)
    for token in ("<|end|>", "<think>"):
        assert {token, f"a{token}b"} <= set(found)
    assert found == texts(["<|end|>", "<think>"])
    assert not any(text.endswith("\0") for text in found)


def test_a_tokenizer_agrees_with_itself(tmp_path: Path) -> None:
    own = byte_level()
    check(own, *compiled(own, tmp_path / "own"))


def test_another_tokenizer_is_refused_with_a_text(tmp_path: Path) -> None:
    models_ = compiled(byte_level(), tmp_path / "own")
    other = byte_level()
    other.add_special_tokens(["<|other|>"])
    with pytest.raises(ExportError, match=r"differ from tokenizer\.json, such as '<\|other\|>'"):
        check(other, *models_)


def test_text_that_comes_back_otherwise_is_a_difference(tmp_path: Path) -> None:
    own = byte_level()
    encode, decode = compiled(own, tmp_path / "own")
    own.decoder = decoders.Replace("Ġ", "_")
    (found,) = differences(own, encode, decode, ["b", "a b"])
    assert found.text == "a b"


def test_what_openvino_cannot_do_is_refused_when_the_tokenizer_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"OpenVINO cannot do what this tokenizer does.*<\|end\|>"
    ):
        write(TokenizerSource(byte_level(single_word=True)), tmp_path)


def test_a_rare_difference_is_a_warning_with_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "texts", lambda _: ["<|end|>", *"xyz" * 40, "cab"])
    models_ = compiled(byte_level(), tmp_path / "own")
    other = byte_level()
    other.model = models.BPE({**byte_level().get_vocab(with_added_tokens=False)}, [])
    with caplog.at_level(logging.WARNING):
        check(other, *models_)
    assert "1 of 122 texts differ from tokenizer.json, such as 'cab': [66, 256]" in caplog.text
