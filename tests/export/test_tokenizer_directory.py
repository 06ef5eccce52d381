"""tokenizer.json folders: the compiled ids equal transformers', and the settings come along."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import openvino as ov
import pytest
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    processors,
    trainers,
)
from tokenizers import pre_tokenizers as pre
from transformers import PreTrainedTokenizerFast

from engine.text.chat_template import Message, read_chat_template
from export.errors import ExportError
from export.tokenizer import ensure_compiled, from_directory, write
from tests.export.tokenizer_texts import CompiledPair, assert_same, texts

QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The moving parts of Qwen3's template: old thoughts are dropped, `enable_thinking` closes the new.
QWEN3_TEMPLATE = """{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
CHAT = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello"},
    {"role": "user", "content": "你好"},
]


def train(tokenizer: Tokenizer) -> Tokenizer:
    trainer = trainers.BpeTrainer(
        vocab_size=1200, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts(1000), trainer)
    return tokenizer


def qwen_like() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    byte_level = pre.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre.Sequence([pre.Split(Regex(QWEN), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def save(folder: Path, tokenizer: Tokenizer, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save(
        tmp_path_factory.mktemp("models") / "Qwen3-tiny",
        qwen_like(),
        bos_token=None,
        eos_token="<|im_end|>",
        pad_token={"__type": "AddedToken", "content": "<|endoftext|>"},
        add_bos_token=False,
        chat_template=QWEN3_TEMPLATE,
    )
    generation = {"eos_token_id": [1202, 1200]}
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def qwen_written(qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write(from_directory(qwen, "qwen3"), folder)
    return folder


def reference(folder: Path) -> Any:
    return PreTrainedTokenizerFast.from_pretrained(folder)


def test_a_qwen_tokenizer_equals_transformers(qwen: Path, qwen_written: Path) -> None:
    own = reference(qwen)
    corpus = texts(900, extra=("<|im_start|>", "<|im_end|>", "<think>", "</think>"))
    assert_same(
        CompiledPair(qwen_written),
        corpus,
        lambda text: own.encode(text, add_special_tokens=False),
        lambda ids: own.decode(ids, skip_special_tokens=True),
    )


def test_the_written_folder_is_the_same_tokenizer(qwen: Path, qwen_written: Path) -> None:
    own, again = reference(qwen), reference(qwen_written)
    assert [again.encode(text) for text in texts(320)] == [own.encode(text) for text in texts(320)]
    assert again.eos_token == "<|im_end|>"
    assert again.chat_template == QWEN3_TEMPLATE
    compiled = ov.Core().read_model(qwen_written / "openvino_tokenizer.xml")
    assert compiled.get_rt_info("chat_template").astype(str) == QWEN3_TEMPLATE
    assert compiled.get_rt_info("eos_token_id").astype(int) == 1202


def test_qwen_settings_come_along(qwen: Path, qwen_written: Path) -> None:
    source = from_directory(qwen, "qwen3")
    assert (source.bos_token, source.eos_token) == (None, "<|im_end|>")
    assert source.pad_token == "<|endoftext|>"
    assert source.eos_token_ids == (1202, 1200)
    assert source.completion_prefix == ""
    config = json.loads((qwen_written / "tokenizer_config.json").read_text(encoding="utf-8"))
    special = {t["content"]: t["special"] for t in config["added_tokens_decoder"].values()}
    assert special["<|im_end|>"] is True
    assert special["<think>"] is False


@pytest.mark.parametrize("options", [{}, {"enable_thinking": True}, {"enable_thinking": False}])
def test_the_engine_renders_the_template_as_transformers_does(
    options: dict[str, bool], qwen: Path, qwen_written: Path
) -> None:
    template = read_chat_template(qwen_written)
    assert template is not None
    rendered = template.render([Message(m["role"], m["content"]) for m in CHAT], **options)
    own = reference(qwen).apply_chat_template(
        CHAT, tokenize=False, add_generation_prompt=True, **options
    )
    assert rendered == own
    assert rendered.endswith("</think>\n\n") == (options.get("enable_thinking") is False)
    assert "hm" not in rendered


def test_thinking_marks_are_single_tokens_that_stay_in_the_text(qwen_written: Path) -> None:
    compiled = CompiledPair(qwen_written)
    ids = compiled.encode("<think>\nhm\n</think>\n\nHello<|im_end|>")
    assert ids[0] == 1203
    assert ids[-1] == 1202
    assert compiled.decode(ids) == "<think>\nhm\n</think>\n\nHello"


def test_digits_before_gpt2_are_compiled_in_two_passes(tmp_path: Path) -> None:
    """SmolLM2's tokenizer.json: spaces before a digit must stay together."""
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre.Sequence([pre.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer).add_special_tokens(["<|im_end|>"])
    folder = save(tmp_path / "smollm", tokenizer, eos_token="<|im_end|>")
    write(from_directory(folder, "llama"), folder)
    assert_same(
        CompiledPair(folder), texts(500), lambda t: tokenizer.encode(t).ids, tokenizer.decode
    )


def llama_like(pre_tokenizer: pre.PreTokenizer | None) -> Tokenizer:
    """Byte fallback, either with normalisers (Llama 2's tokenizer.json) or with Metaspace."""
    letters = sorted({c for text in texts(300) for c in text if c.isalpha() and c.isascii()})
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", *letters]
    pairs = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "▁"), ("▁▁", "▁▁"), ("i", "n")]
    vocab = {p: i for i, p in enumerate([*pieces, *(a + b for a, b in pairs)])}
    model = models.BPE(vocab, pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    if pre_tokenizer is None:
        replace = normalizers.Replace(" ", "▁")
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace])
    else:
        tokenizer.pre_tokenizer = pre_tokenizer
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def metaspace(scheme: str) -> pre.PreTokenizer:
    return pre.Metaspace(replacement="▁", prepend_scheme=scheme, split=False)


@pytest.mark.parametrize(
    "pre_tokenizer",
    [
        None,
        metaspace("first"),
        metaspace("always"),
        metaspace("never"),
    ],
    ids=["normalizer", "first", "always", "never"],
)
def test_a_llama_tokenizer_json_equals_itself_without_bos(
    pre_tokenizer: pre.PreTokenizer | None, tmp_path: Path
) -> None:
    own = llama_like(pre_tokenizer)
    folder = save(tmp_path / "llama", own, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    source = from_directory(folder, "llama")
    write(source, folder)
    assert source.completion_prefix == "<s>"
    assert_same(
        CompiledPair(folder),
        ["▁", "▁▁a", *texts(500)],
        lambda text: own.encode(text, add_special_tokens=False).ids,
        own.decode,
    )


def test_add_bos_token_overrides_the_post_processor(tmp_path: Path) -> None:
    folder = save(tmp_path / "llama", llama_like(None), bos_token="<s>", add_bos_token=False)
    assert from_directory(folder, "llama").completion_prefix == ""


def test_truncation_and_padding_are_switched_off(tmp_path: Path) -> None:
    tokenizer = qwen_like()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    source = from_directory(save(tmp_path / "qwen", tokenizer, eos_token="<|im_end|>"), "qwen2")
    write(source, tmp_path)
    written = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert (written["truncation"], written["padding"]) == (None, None)
    assert (
        CompiledPair(tmp_path).encode("a longer text")
        == source.tokenizer.encode("a longer text").ids
    )


def test_a_token_that_only_the_configuration_knows_is_added(tmp_path: Path) -> None:
    entry = {"content": "<|extra|>", "special": True, "normalized": False}
    folder = save(tmp_path / "ok", qwen_like(), added_tokens_decoder={"1205": entry})
    assert from_directory(folder, "qwen2").tokenizer.token_to_id("<|extra|>") == 1205
    folder = save(tmp_path / "bad", qwen_like(), added_tokens_decoder={"1300": entry})
    with pytest.raises(ExportError, match=r"says that '<\|extra\|>' is token 1300"):
        from_directory(folder, "qwen2")


@pytest.mark.parametrize("shape", ["jinja", "named", "json", "processor", "additional", "rag"])
def test_a_template_is_found_wherever_it_is_kept(shape: str, tmp_path: Path) -> None:
    named = [{"name": "tool", "template": "no"}, {"name": "default", "template": "yes"}]
    if shape == "rag":  # none of them is the default
        named = [{"name": "rag", "template": "no"}, {"name": "chat", "template": "yes"}]
    config = {"chat_template": named} if shape in ("named", "rag") else {}
    folder = save(tmp_path / "model", qwen_like(), **config)
    if shape == "jinja":
        (folder / "chat_template.jinja").write_text("yes", encoding="utf-8")
    if shape == "json":
        (folder / "chat_template.json").write_text('{"chat_template": "yes"}', encoding="utf-8")
    if shape == "processor":
        (folder / "processor_config.json").write_text('{"chat_template": "yes"}', encoding="utf-8")
    if shape == "additional":
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates" / "chat.jinja").write_text("yes", encoding="utf-8")
    assert from_directory(folder, "qwen2").chat_template == "yes"


def test_a_missing_compiled_tokenizer_is_made(qwen: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(qwen, folder)
    (folder / "config.json").write_text('{"model_type": "qwen3"}', encoding="utf-8")
    before = (folder / "tokenizer_config.json").read_text(encoding="utf-8")
    ensure_compiled(folder)
    text = "Hello  你好 <|im_end|>"
    assert CompiledPair(folder).encode(text) == reference(qwen).encode(text)
    assert (folder / "tokenizer_config.json").read_text(encoding="utf-8") == before
    assert not list(folder.glob(".tokenizer-*"))
    stamp = (folder / "openvino_tokenizer.bin").stat().st_mtime_ns
    ensure_compiled(folder)
    assert (folder / "openvino_tokenizer.bin").stat().st_mtime_ns == stamp


def test_a_half_compiled_tokenizer_is_made_whole(qwen_written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(qwen_written, folder)
    (folder / "openvino_detokenizer.bin").unlink()
    ensure_compiled(folder)
    compiled = CompiledPair(folder)
    assert compiled.decode(compiled.encode("round trip")) == "round trip"


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"neither tokenizer\.json nor tokenizer\.model"):
        ensure_compiled(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"model": {}}', "[]"])
def test_a_damaged_tokenizer_json_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ExportError, match=r"tokenizer\.json cannot be read"):
        from_directory(tmp_path, "llama")


def test_a_damaged_configuration_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", qwen_like())
    (folder / "tokenizer_config.json").write_text('{"eos_token": ', encoding="utf-8")
    with pytest.raises(ExportError, match=r"tokenizer_config\.json is not valid JSON"):
        from_directory(folder, "qwen2")


def test_a_byte_order_mark_is_no_part_of_the_configuration(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", qwen_like())
    file = folder / "tokenizer_config.json"
    file.write_text('{"eos_token": "<|im_end|>"}', encoding="utf-8-sig")
    assert from_directory(folder, "qwen2").eos_token == "<|im_end|>"


def test_a_token_that_one_file_leaves_empty_is_taken_of_the_other(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", qwen_like(), eos_token=None)
    (folder / "special_tokens_map.json").write_text('{"eos_token": "<|im_end|>"}')
    assert from_directory(folder, "qwen2").eos_token == "<|im_end|>"


def test_ends_are_united_from_every_file(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", qwen_like(), eos_token="<|endoftext|>")
    (folder / "generation_config.json").write_text('{"eos_token_id": 5}')
    (folder / "config.json").write_text('{"eos_token_id": [6, 5, null]}')
    assert from_directory(folder, "qwen2").eos_token_ids == (1200, 5, 6, 1202)


@pytest.mark.parametrize(
    "named",
    [
        {"additional_special_tokens": ["<a>", {"content": "<b>"}]},
        {"extra_special_tokens": {"first_token": "<a>", "second_token": "<b>"}},
    ],
)
def test_additional_special_tokens_come_along(named: dict[str, Any], tmp_path: Path) -> None:
    folder = save(tmp_path / "model", qwen_like(), **named)
    write(from_directory(folder, "qwen2"), folder)
    written = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert written["additional_special_tokens"] == ["<a>", "<b>"]


def test_tokens_of_older_folders_are_added(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", qwen_like())
    (folder / "added_tokens.json").write_text('{"<|im_end|>": 1202, "<|tool|>": 1205}')
    added = from_directory(folder, "qwen2").tokenizer.get_added_tokens_decoder()
    assert (added[1205].content, added[1205].special) == ("<|tool|>", True)
