"""The files beside a tokenizer: what each of them names is united."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelUnsupported
from engine.text.tokenizer_files import (
    END_OF_TURN,
    GLM_END_OF_TURN,
    HARMONY_BETWEEN_MESSAGES,
    AddedToken,
    read_added_tokens,
    read_completion_prefix,
    read_end_token_ids,
)
from export.tokenizers import source

BOS = {"SpecialToken": {"id": "<s>", "type_id": 0}}
TEXT = {"Sequence": {"id": "A", "type_id": 0}}
TEMPLATE = {"type": "TemplateProcessing", "single": [BOS, TEXT], "pair": []}


def files(folder: Path, **contents: Any) -> Path:
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


def added(**tokens: int) -> list[dict[str, Any]]:
    return [{"id": index, "content": f"<{name}>"} for name, index in tokens.items()]


def test_added_tokens_of_all_files_are_special(tmp_path: Path) -> None:
    files(
        tmp_path,
        added_tokens={"<legacy>": 5, "<|im_end|>": 99},
        tokenizer={"added_tokens": [{"id": 2, "content": "<|im_end|>"}, *added(think=3)]},
        tokenizer_config={
            "added_tokens_decoder": {
                "1": {"content": "<s>"},
                "3": {"content": "<think>", "special": False},
            }
        },
    )
    assert read_added_tokens(tmp_path) == {
        "<legacy>": AddedToken(5, is_special=True),
        "<|im_end|>": AddedToken(2, is_special=True),
        "<think>": AddedToken(3, is_special=False),
        "<s>": AddedToken(1, is_special=True),
    }


def test_a_directory_without_files_has_no_special_tokens(tmp_path: Path) -> None:
    assert read_added_tokens(tmp_path) == {}
    assert read_end_token_ids(tmp_path) == set()
    assert read_completion_prefix(tmp_path) == ""


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    content = json.dumps({"added_tokens_decoder": {"1": {"content": "<s>"}}})
    (tmp_path / "tokenizer_config.json").write_text(content, "utf-8-sig")
    assert read_added_tokens(tmp_path) == {"<s>": AddedToken(1, is_special=True)}


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_config", "added_tokens"])
@pytest.mark.parametrize("content", [b'{"a": ', b'{"a": "\xff"}', b'{"a":' + b"[" * 100_000])
def test_a_damaged_file_is_refused_by_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / f"{name}.json").write_bytes(content)
    with pytest.raises(ModelUnsupported, match=f"{name}.json is not valid JSON"):
        read_added_tokens(tmp_path)


def test_a_tokenizer_that_changed_is_read_again(tmp_path: Path) -> None:
    files(tmp_path, tokenizer={"added_tokens": added(a=1)})
    assert set(read_added_tokens(tmp_path)) == {"<a>"}
    other = tmp_path / "other"
    other.mkdir()
    files(other, tokenizer={"added_tokens": added(b=1)})
    assert set(read_added_tokens(other)) == {"<b>"}


@pytest.mark.parametrize(
    ("tokens", "eos", "ids"),
    [
        ({"s": 1, "/s": 2}, "</s>", {2}),
        ({"|im_end|": 7, "|endoftext|": 8}, "<|im_end|>", {7, 8}),
        ({"|im_end|": 7}, None, {7}),
        ({"|end|": 5, "|user|": 6}, None, {5}),
        ({"|end|": 5, "|return|": 6}, "<|return|>", {6}),
        ({}, "word", {9}),
        ({}, "unheard", set()),
    ],
)
def test_what_ends_a_turn_is_united(
    tokens: dict[str, int], eos: str | None, ids: set[int], tmp_path: Path
) -> None:
    vocabulary = {"type": "BPE", "vocab": {"word": 9}}
    files(tmp_path, tokenizer={"added_tokens": added(**tokens), "model": vocabulary})
    files(tmp_path, special_tokens_map={"eos_token": {"content": eos}})
    assert read_end_token_ids(tmp_path) == ids


def test_glm_ends_where_the_next_role_begins(tmp_path: Path) -> None:
    tokens = [{"id": 1, "content": "[gMASK]"}, {"id": 2, "content": "<|user|>"}]
    assert read_end_token_ids(files(tmp_path, tokenizer={"added_tokens": tokens})) == {2}


@pytest.mark.parametrize(
    ("config", "tokenizer", "prefix"),
    [
        ({"bos_token": "<s>", "add_bos_token": True}, {}, "<s>"),
        ({"bos_token": {"content": "<s>"}, "add_bos_token": True}, {}, "<s>"),
        ({"bos_token": "<s>"}, {}, ""),
        ({"bos_token": "<s>"}, {"post_processor": TEMPLATE}, "<s>"),
        ({"bos_token": "<s>", "add_bos_token": False}, {"post_processor": TEMPLATE}, ""),
        (
            {"bos_token": "<s>"},
            {
                "post_processor": {
                    "type": "Sequence",
                    "processors": [{"type": "ByteLevel"}, TEMPLATE],
                }
            },
            "<s>",
        ),
        ({"bos_token": "<s>", "completion_prefix": ""}, {"post_processor": TEMPLATE}, ""),
        ({"bos_token": "<s>", "completion_prefix": "[gMASK]"}, {}, "[gMASK]"),
        ({"bos_token": "<s>", "tokenizer_class": "LlamaTokenizer"}, {}, ""),
        ({"bos_token": "<s>", "tokenizer_class": "LlamaTokenizer"}, None, "<s>"),
    ],
)
def test_a_completion_begins_as_the_tokenizer_says(
    config: dict[str, Any], tokenizer: dict[str, Any] | None, prefix: str, tmp_path: Path
) -> None:
    files(tmp_path, tokenizer_config=config)
    if tokenizer is not None:
        files(tmp_path, tokenizer=tokenizer)
    assert read_completion_prefix(tmp_path) == prefix


def test_the_exporter_knows_the_same_ends() -> None:
    assert set(END_OF_TURN) == set(source.END_OF_TURN)
    assert set(GLM_END_OF_TURN) == set(source.GLM_END_OF_TURN)
    assert set(HARMONY_BETWEEN_MESSAGES) == set(source.HARMONY_BETWEEN_MESSAGES)
