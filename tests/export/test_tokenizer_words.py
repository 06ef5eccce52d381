"""Words and pieces: whole words that no merges make, pieces that no text reaches, bytes spelled out."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre

from export.tokenizer import TokenizerSource, write
from export.tokenizers.bpe_symbols import HIDDEN, MARK, bpe_symbols
from tests.export.tokenizer_texts import CompiledPair, assert_same, texts

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
SYLLABLES = (
    "ba",
    "hỏ",
    "i",
    "ng",
    "xin",
    "chào",
    "thế",
    "世",
    "界",
    "ка",
    "т",
    "ي",
    "ab",
    "é",
    "1",
)


def words(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    made = ("".join(rng.choices(SYLLABLES, k=rng.randint(1, 5))) for _ in range(count))
    return [rng.choice(["", " ", "."]) + word for word in made]


def llama3_like(*, ignore_merges: bool) -> tuple[Tokenizer, list[str]]:
    """A trained byte-level BPE and whole pieces beside it that its merges do not make."""
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre.Sequence([pre.Split(Regex(LLAMA3), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([*texts(300), *words(900, seed=1)], trainer)
    content = json.loads(tokenizer.to_str())
    model = content["model"]
    byte_letters = pre.ByteLevel(add_prefix_space=False, use_regex=False)
    for word in words(400, seed=2):
        ((piece, _),) = byte_letters.pre_tokenize_str(word)
        model["vocab"].setdefault(piece, len(model["vocab"]))
    whole = [word for word in words(400, seed=2) if len(tokenizer.encode(word).ids) > 1]
    model["ignore_merges"] = ignore_merges
    changed = Tokenizer.from_str(json.dumps(content))
    changed.add_special_tokens(["<|eot_id|>"])
    return changed, whole


@pytest.mark.parametrize("ignore_merges", [True, False])
def test_whole_pieces_are_reached_as_in_training(ignore_merges: bool, tmp_path: Path) -> None:
    own, whole = llama3_like(ignore_merges=ignore_merges)
    assert len(whole) > 100
    write(TokenizerSource(own), tmp_path)
    rng = random.Random(3)
    pool = [*whole, *words(1500, seed=4), *words(1500, seed=2), "<|eot_id|>", "\n", "  "]
    runs = ["".join(rng.choices(pool, k=rng.randint(1, 4))) for _ in range(1000)]
    compiled = CompiledPair(tmp_path)
    assert_same(
        compiled, [*whole, *pool[len(whole) :], *runs], lambda t: own.encode(t).ids, own.decode
    )
    reached = [word for word in whole if len(compiled.encode(word)) == 1]
    assert bool(reached) == ignore_merges


def test_symbols_know_words_only_between_marks() -> None:
    own, whole = llama3_like(ignore_merges=True)
    symbols = bpe_symbols(own)
    assert symbols is not None
    assert symbols.is_marked
    marked = f"{MARK}{whole[0]}{MARK}".encode()
    assert symbols.more[marked] == own.encode(whole[0]).ids[0]
    assert whole[0].encode() not in symbols.strings
    assert symbols.strings[own.encode(whole[0]).ids[0]] == HIDDEN


def test_without_whole_words_there_are_no_marks() -> None:
    own, _ = llama3_like(ignore_merges=False)
    symbols = bpe_symbols(own)
    assert symbols is not None
    assert not symbols.is_marked
    assert list(symbols.more) == [b"<|eot_id|>"]


def byte_fallback(merges: list[tuple[str, str]]) -> Tokenizer:
    """As Llama 2's: pieces of characters, 256 byte pieces, and a line break that is a byte piece."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *letters, "你", "<0x"]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    for left, right in merges:
        vocab.setdefault(left + right, len(vocab))
    model = models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    replace = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unk>"])
    return tokenizer


SPELLED = ("<0x0A>", "<0x00>", "a<0x41>b", "<0x0a>", "<0xE4><0xBD><0xA0>", "<<0x0A>>", "<0x", "\n")


@pytest.mark.parametrize("merges", [[], [("▁", "<"), ("0", "x"), ("A", ">")], [("<", "0")]])
def test_bytes_that_people_spell_are_text(merges: list[tuple[str, str]], tmp_path: Path) -> None:
    own = byte_fallback(merges)
    write(TokenizerSource(own), tmp_path)
    compiled = CompiledPair(tmp_path)
    corpus = texts(330, extra=SPELLED)
    assert_same(compiled, [*SPELLED, *corpus], lambda text: own.encode(text).ids, own.decode)
    assert own.token_to_id("<0x0A>") in compiled.encode("\n")
    assert own.token_to_id("<0x0A>") not in compiled.encode("<0x0A>")
    assert compiled.decode(compiled.encode("<0x0A>你\n🙂")) == "<0x0A>你\n🙂"


def test_white_space_is_no_added_token_that_looks_like_it(tmp_path: Path) -> None:
    """The library looks for added tokens before spaces are replaced by their sign."""
    own = byte_fallback([("▁", "▁"), ("▁", "<")])
    own.add_tokens([AddedToken("▁▁▁", normalized=False), AddedToken("\n\n", normalized=False)])
    write(TokenizerSource(own), tmp_path)
    corpus = ["a   b", "   ", "▁▁▁", "a▁▁▁\n\n   <", "\n\n\n", *texts(330, extra=("   ", "\n\n"))]
    # Known difference: a text of two spaces alone, with the one in front, is the token as a word.
    corpus = [text for text in corpus if text != "  "]
    assert_same(CompiledPair(tmp_path), corpus, lambda text: own.encode(text).ids, own.decode)


def test_merges_of_pieces_that_nothing_makes_are_left_out() -> None:
    own = Tokenizer(
        models.BPE({"a": 0, "b": 1, "xy": 2, "xya": 3, "ab": 4}, [("xy", "a"), ("a", "b")])
    )
    symbols = bpe_symbols(own)
    assert symbols is not None
    assert symbols.merges == [(b"a", b"b")]
    assert symbols.strings == [b"a", b"b", HIDDEN, HIDDEN, b"ab"]


def test_other_models_have_no_symbols() -> None:
    assert bpe_symbols(Tokenizer(models.WordLevel({"a": 0}, "a"))) is None
    assert bpe_symbols(Tokenizer(models.BPE({"a": 0}, [], end_of_word_suffix="</w>"))) is None
