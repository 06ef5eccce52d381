"""A model directory's JSON files: what ends a reply is united from all that name it."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelUnsupported
from engine.model.model_files import read_eos_token_ids, read_settings

IM_END = {"added_tokens": [{"id": 7, "content": "<|im_end|>"}]}


@pytest.mark.parametrize(
    ("generation", "config", "tokenizer", "ids"),
    [
        ({"eos_token_id": 3}, {}, {}, {3}),
        ({"eos_token_id": 3}, {"eos_token_id": [4, 3]}, IM_END, {3, 4, 7}),
        (None, {"eos_token_id": 4}, {}, {4}),
        ({}, {}, IM_END, {7}),
        ({"eos_token_id": None}, {"eos_token_id": -1}, IM_END, {7}),
    ],
)
def test_what_ends_a_reply_is_united(
    generation: dict[str, Any] | None,
    config: dict[str, Any],
    tokenizer: dict[str, Any],
    ids: set[int],
    tmp_path: Path,
) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    assert read_eos_token_ids(tmp_path, config) == ids


def test_a_model_without_any_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match="no eos_token_id"):
        read_eos_token_ids(tmp_path, {})


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"n_positions": 9}', "utf-8-sig")
    assert read_settings(tmp_path) == {"n_positions": 9}
