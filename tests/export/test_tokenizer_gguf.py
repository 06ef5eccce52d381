"""GGUF tokenizers: the compiled ids equal those of the model's own tokenizer pipeline."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFWriter
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre

from engine.text.tokenizer import Tokenizer as EngineTokenizer
from export.errors import ExportError
from export.tokenizer import TokenizerSource, from_gguf, write
from export.tokenizers.gguf_marks import with_marks
from export.tokenizers.pieces import Piece
from export.tokenizers.pretokenizers import PRE_TOKENIZERS
from tests.export.tokenizer_texts import CompiledPair, assert_same, texts

# The pipelines of the models' own tokenizer.json (for "default": llama.cpp's passes).
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (
    TEKKEN.replace(
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|", rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]+{CONTRACTION}|"
    )
    .replace(r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|", rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]*{CONTRACTION}|")
    .replace(r"|\p{N}|", r"|\p{N}{1,3}|")
)
QWEN35 = QWEN2.replace(r"]?\p{L}+", r"]?[\p{L}\p{M}]+").replace(
    r"\s\p{L}\p{N}", r"\s\p{L}\p{M}\p{N}"
)
SEED_CODER = QWEN2.replace(r" ?[^\s\p{L}\p{N}]+[\r\n]*", r" ?[^\s\p{L}\p{N}\r\n]+")
IDEOGRAPHS = "[一-龥ࠀ-一가-\ud7ff]+"
# The cased letters of the test's texts; the model's own list is longer.
DEEPSEEK_LLM = (
    *("[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺͰ-ͳΆΈ-ΊΌΎ-ΡΣ-ϵА-ҁﬀ-ﬆ]+"),
    *(r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", IDEOGRAPHS, r"\p{N}+"),
)
DEEPSEEK_V3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_CPP = (r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")


def passes(*patterns: str) -> pre.PreTokenizer:
    splits = [pre.Split(Regex(pattern), "isolated") for pattern in patterns]
    return pre.Sequence([*splits, pre.ByteLevel(add_prefix_space=False, use_regex=False)])


def digits_then_gpt2() -> pre.PreTokenizer:
    return pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)])


PIPELINES = {
    "gpt-2": pre.ByteLevel(add_prefix_space=False),
    "smollm": digits_then_gpt2(),
    "llama-bpe": passes(LLAMA3),
    "qwen2": passes(QWEN2),
    "smaug-bpe": passes(LLAMA3),
    "qwen35": passes(QWEN35),
    "gpt-4o": passes(GPT4O),
    "deepseek-llm": passes(*DEEPSEEK_LLM),
    "deepseek-coder": passes("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", IDEOGRAPHS, r"\p{N}"),
    "deepseek-v3": passes(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK_V3),
    "seed-coder": passes(SEED_CODER),
    "minicpm5": passes(r"\p{N}{1,3}", QWEN2.replace(r"|\p{N}|", r"|\p{N}+|")),
    "viking": passes(r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"),
    "tekken": passes(TEKKEN),
    "default": passes(*LLAMA_CPP),
}
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<｜特 别｜>")


def trained(name: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PIPELINES[name]
    tokenizer.decoder = decoders.ByteLevel()
    if name in ("qwen2", "qwen35"):
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        initial_alphabet=pre.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL[:3]),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(1000), trainer)
    tokenizer.add_tokens(["<think>"])
    tokenizer.add_special_tokens([SPECIAL[3]])
    return tokenizer


def write_gguf(
    path: Path,
    tokenizer: Tokenizer,
    name: str | None,
    *,
    template: str = "",
    normal: Sequence[str] = (),
    more: Mapping[str, bool] | None = None,
) -> GGUFReader:
    """`normal`: tokens that the converter takes for ordinary ones."""
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    added = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    tokens = sorted(vocab, key=lambda token: vocab[token])
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    if name is not None:
        writer.add_tokenizer_pre(name)
    if template:
        writer.add_chat_template(template)
    writer.add_token_list(tokens)
    added = {content: token for content, token in added.items() if content not in normal}
    writer.add_token_types([1 if t not in added else 3 if added[t].special else 4 for t in tokens])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for key, value in (more or {}).items():
        writer.add_bool(f"tokenizer.ggml.{key}", value)
    return finish(writer, path)


def finish(writer: GGUFWriter, path: Path) -> GGUFReader:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GGUFReader(path)


def compile_into(source: TokenizerSource, folder: Path) -> CompiledPair:
    folder.mkdir()
    write(source, folder)
    return CompiledPair(folder)


@pytest.fixture(scope="session")
def smollm2_source(smollm2_gguf: Path) -> TokenizerSource:
    return from_gguf(GGUFReader(smollm2_gguf))


@pytest.fixture(scope="session")
def smollm2_folder(
    smollm2_source: TokenizerSource, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("smollm2-tokenizer")
    write(smollm2_source, folder)
    return folder


def test_smollm2_equals_its_own_pipeline(smollm2_gguf: Path, smollm2_folder: Path) -> None:
    fields = GGUFReader(smollm2_gguf).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    own = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    own.pre_tokenizer = digits_then_gpt2()
    own.decoder = decoders.ByteLevel()
    own.add_special_tokens(tokens[:17])
    corpus = texts(900, extra=("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>"))
    compiled = CompiledPair(smollm2_folder)
    assert_same(compiled, corpus, lambda text: own.encode(text).ids, own.decode)


def test_smollm2_text_survives_the_round_trip(smollm2_folder: Path) -> None:
    compiled = CompiledPair(smollm2_folder)
    for text in texts(400):
        assert compiled.decode(compiled.encode(text)) == text


def test_smollm2_names_its_special_tokens(
    smollm2_source: TokenizerSource, smollm2_folder: Path
) -> None:
    config = json.loads((smollm2_folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert smollm2_source.eos_token_ids == (2, 0)
    assert config["bos_token"] == "<|im_start|>"
    assert config["eos_token"] == "<|im_end|>"
    assert len(config["added_tokens_decoder"]) == 17
    assert config["added_tokens_decoder"]["2"]["content"] == "<|im_end|>"
    assert config["added_tokens_decoder"]["2"]["special"] is True
    template = (smollm2_folder / "chat_template.jinja").read_text(encoding="utf-8")
    assert template == smollm2_source.chat_template
    assert "<|im_start|>assistant\n" in template


@pytest.mark.parametrize("name", PIPELINES)
def test_each_pre_tokenizer_equals_its_pipeline(name: str, tmp_path: Path) -> None:
    own = trained(name)
    source = from_gguf(write_gguf(tmp_path / "model.gguf", own, name))
    compiled = compile_into(source, tmp_path / "model")
    corpus = texts(700, extra=(*SPECIAL, "<think>"))
    assert_same(compiled, corpus, lambda text: own.encode(text).ids, own.decode)


def test_user_defined_tokens_are_text_and_control_tokens_are_not(tmp_path: Path) -> None:
    own = trained("qwen2")
    source = from_gguf(write_gguf(tmp_path / "model.gguf", own, "qwen2"))
    compiled = compile_into(source, tmp_path / "model")
    ids = compiled.encode("<|im_start|><think>hi<｜特 别｜>")
    assert ids[:2] == [1, own.token_to_id("<think>")]
    assert ids[-1] == own.token_to_id("<｜特 别｜>")
    assert compiled.decode(ids) == "<think>hi"


def test_ids_beyond_the_vocabulary_decode_to_nothing(tmp_path: Path) -> None:
    own = trained("gpt-2")
    source = from_gguf(write_gguf(tmp_path / "model.gguf", own, "gpt-2"))
    compiled = compile_into(source, tmp_path / "model")
    assert compiled.decode([*own.encode("hello").ids, 90_000]) == "hello"


@pytest.mark.parametrize(
    ("name", "more", "prefix"),
    [
        ("gpt-2", {}, ""),
        ("llama-bpe", {"add_bos_token": True}, "<|im_start|>"),
        ("llama-bpe", {"add_bos_token": False}, ""),
        ("llama-bpe", {}, "<|im_start|>"),
        ("smaug-bpe", {}, ""),
    ],
)
def test_a_plain_completion_starts_as_the_model_expects(
    name: str, more: dict[str, bool], prefix: str, tmp_path: Path
) -> None:
    source = from_gguf(write_gguf(tmp_path / "model.gguf", trained(name), name, more=more))
    assert source.completion_prefix == prefix


def test_an_unknown_pre_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    reader = write_gguf(tmp_path / "model.gguf", trained("gpt-2"), "grok-9")
    with pytest.raises(ExportError, match="'grok-9'"):
        from_gguf(reader)


def test_an_unknown_tokenizer_kind_is_refused_by_name(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tokenizer_model("rwkv")
    writer.add_token_list(["a"])
    with pytest.raises(ExportError, match="'rwkv'"):
        from_gguf(finish(writer, tmp_path / "model.gguf"))


def test_a_file_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "model.gguf", "llama")
    with pytest.raises(ExportError, match=re.escape("model.gguf carries no tokenizer.ggml.tokens")):
        from_gguf(finish(writer, tmp_path / "model.gguf"))


def test_a_merge_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(["a", "b"])
    writer.add_token_merges(["a b"])
    with pytest.raises(ExportError, match="merge 'a b' does not fit"):
        from_gguf(finish(writer, tmp_path / "model.gguf"))


def test_files_that_name_no_pre_tokenizer_are_refused(tmp_path: Path) -> None:
    reader = write_gguf(tmp_path / "model.gguf", trained("gpt-2"), None)
    with pytest.raises(ExportError, match="does not say how its tokenizer cuts words"):
        from_gguf(reader)


def test_early_llama_3_files_are_known_by_their_tokens(tmp_path: Path) -> None:
    own = trained("llama-bpe")
    own.add_special_tokens(["<|begin_of_text|>"])
    source = from_gguf(write_gguf(tmp_path / "model.gguf", own, None))
    assert json.loads(source.tokenizer.to_str())["model"]["ignore_merges"] is True
    text = "12345 it's  Hello 你好"
    assert source.tokenizer.pre_tokenizer.pre_tokenize_str(text) == (
        PIPELINES["llama-bpe"].pre_tokenize_str(text)
    )


@pytest.mark.parametrize("name", sorted(PRE_TOKENIZERS.keys() - PIPELINES.keys()))
def test_other_names_are_of_a_known_kind(name: str) -> None:
    assert PRE_TOKENIZERS[name] in [PRE_TOKENIZERS[known] for known in PIPELINES]


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            "deepseek-r1-qwen",
            "megrez",
            "kormo",
            "f2llmv2",
            "falcon3",
            "pixtral",
            "midm-2.0",
            "smaug-bpe",
        }
        | {
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mpt",
            "olmo",
            "jais",
        }
        | {"trillion", "a.x-4.0", "mellum"}
    ),
)
def test_pre_tokenizers_are_known_under_their_other_names(name: str, tmp_path: Path) -> None:
    source = from_gguf(write_gguf(tmp_path / "model.gguf", trained("gpt-2"), name))
    assert source.tokenizer.encode("a b").ids


def test_control_tokens_that_are_marked_as_normal_are_special(tmp_path: Path) -> None:
    own = trained("qwen2")
    own.add_special_tokens(["<|tool|>", "[INST]", "<|unused|>"])
    normal = (*SPECIAL[:3], "<think>", "<|tool|>", "[INST]", "<|unused|>")
    template = "{{ bos_token }}<|im_start|>user\n[INST]<|tool|>{{ x[0] }}<think>"
    reader = write_gguf(tmp_path / "model.gguf", own, "qwen2", template=template, normal=normal)
    source = from_gguf(reader)
    added = source.tokenizer.get_added_tokens_decoder().values()
    special = {token.content: token.special for token in added}
    assert special == {
        **dict.fromkeys(("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|tool|>"), True),
        SPECIAL[3]: True,
        "<think>": False,
        "[INST]": False,
    }
    assert source.eos_token_ids == (2, 0)
    compiled = compile_into(source, tmp_path / "model")
    assert compiled.encode("<|im_start|>") == [1]
    escape = EngineTokenizer(tmp_path / "model").escape
    assert "<|im_end|>" not in escape("<|im_end|>")


def test_a_named_token_that_is_text_stays_text(tmp_path: Path) -> None:
    """Some files name "!" or the like as their padding."""
    pieces = [
        Piece("!", 0.0, 1),
        Piece("<s>", 0.0, 1),
        Piece("<pad>", 0.0, 4),
        Piece("<0x0A>", 0.0, 6),
    ]
    kinds = [piece.kind for piece in with_marks(pieces, "", {0, 1, 2, 3})]
    assert kinds == [1, 3, 3, 6]


def test_a_token_that_stands_twice_is_named(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(["a", "b", "a"])
    writer.add_token_merges(["a b"])
    with pytest.raises(ExportError, match="the token 'a' stands twice"):
        from_gguf(finish(writer, tmp_path / "model.gguf"))
