"""GGUF files: the real one against its float32 reference, and every way a file can be wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export import ExportError, export_model
from export.families import read_decoder
from export.sources.gguf import open_gguf
from tests.export.checkpoints import VOCAB, write_gguf
from tests.export.reference import F, Reference, divergence, from_gguf
from tests.export.running import Paged, Stateful, compiled, pieces

TEXT = [(7 * i * i + 3 * i) % VOCAB for i in range(40)]


def logits_of(directory: Path) -> F:
    logits: F = Stateful(compiled(directory / "openvino_model.xml")).step([TEXT])[0]
    return logits


def test_default_form_of_the_real_file_is_faithful(
    smollm2: Path, smollm2_reference: Reference
) -> None:
    text = (
        "OpenVINO is a toolkit for running neural networks. The capital of France is Paris; the "
        "capital of Japan is Tokyo. Once upon a time, in a village by the sea, there lived an "
        "old fisherman who told stories to the children every evening, and they listened. "
        "def add(a, b):\n    return a + b\n"
    )
    ids = compiled(smollm2 / "openvino_tokenizer.xml", {})([text])["input_ids"][0].tolist()
    assert len(ids) >= 60
    run = Stateful(compiled(smollm2 / "openvino_model.xml"))
    kl, top_1 = divergence(smollm2_reference.logits(ids), run.step([ids])[0])
    assert kl < 1e-4
    assert top_1 >= 0.99


def test_default_form_keeps_four_bit_blocks(smollm2: Path, smollm2_gguf: Path) -> None:
    size = (smollm2 / "openvino_model.bin").stat().st_size
    assert size < smollm2_gguf.stat().st_size


def test_end_of_turn_ids_are_written(smollm2: Path) -> None:
    generation = json.loads((smollm2 / "generation_config.json").read_text())
    config = json.loads((smollm2 / "config.json").read_text())
    assert generation["eos_token_id"][0] == 2
    assert config["max_position_embeddings"] == 8192
    assert (config["head_dim"], config["num_key_value_heads"]) == (64, 3)
    assert config["vocab_size"] == 49152


@pytest.mark.parametrize("encoding", ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_native_form_equals_the_dequantised_weights(tmp_path: Path, encoding: str) -> None:
    source = write_gguf(tmp_path / "tiny.gguf", encoding)
    directory = export_model(str(source), tmp_path / "out")
    kl, _ = divergence(from_gguf(source).logits(TEXT), logits_of(directory))
    assert kl < 2e-5


def test_constant_blocks_survive_the_native_form(tmp_path: Path) -> None:
    """A Q4_1 block whose scale is 0 stands for its offset alone."""
    constant = np.full((32, 64), 0.25, np.float32)
    source = write_gguf(
        tmp_path / "tiny.gguf", "Q4_1", more_tensors={"blk.0.attn_v.weight": constant}
    )
    directory = export_model(str(source), tmp_path / "out")
    kl, _ = divergence(from_gguf(source).logits(TEXT), logits_of(directory))
    assert kl < 5e-4  # equal inputs add up the rounding of the zero-points behind them


def test_rope_factors_of_llama_3_files_apply(tmp_path: Path) -> None:
    factors = np.array([1, 1, 1, 2, 4, 8, 8, 8], np.float32)
    source = write_gguf(tmp_path / "tiny.gguf", more_tensors={"rope_freqs.weight": factors})
    directory = export_model(str(source), tmp_path / "out")
    kl, _ = divergence(from_gguf(source).logits(TEXT), logits_of(directory))
    assert kl < 2e-5


@pytest.mark.parametrize("kv", ["stateful", "explicit"])
def test_token_by_token_equals_whole(tmp_path: Path, kv: str) -> None:
    source = write_gguf(tmp_path / "tiny.gguf", "Q8_0")
    directory = export_model(str(source), tmp_path / "out", kv=kv)
    run = Stateful(compiled(directory / "openvino_model.xml"))
    assert bool(run.explicit) == (kv == "explicit")
    stepped = [run.step([part])[0] for part in pieces(TEXT, 13, 9)]
    np.testing.assert_allclose(
        np.concatenate(stepped), from_gguf(source).logits(TEXT), rtol=0, atol=2e-3
    )


def test_paged_attention_transformation_accepts_the_real_model(smollm2: Path) -> None:
    ids = TEXT[:20]
    whole = Stateful(compiled(smollm2 / "openvino_model.xml")).step([ids])[0]
    paged = Paged(smollm2 / "openvino_model.xml")
    stepped = [paged.step(part) for part in pieces(ids, 7, 6)]
    np.testing.assert_allclose(np.concatenate(stepped), whole, rtol=0, atol=2e-3)


def refused(source: Path, out: Path, weights: str | None = None) -> str:
    with pytest.raises(ExportError) as caught:
        export_model(str(source), out, weights)
    assert not out.exists()
    assert not list(out.parent.glob(".export-*"))
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "notes.gguf"
    source.write_text("hello " * 100)
    assert "not a GGUF file" in refused(source, tmp_path / "out")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    whole = write_gguf(tmp_path / "whole.gguf").read_bytes()
    source = tmp_path / "cut.gguf"
    source.write_bytes(whole[: int(len(whole) * share)])
    assert re.search("cut short|not a GGUF", refused(source, tmp_path / "out"))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"llama.expert_count": 8}, "expert_used_count"),
        ({"llama.rope.dimension_count": 8}, "partial rotary"),
        ({"split.count": 3}, "part 1 of 3"),
        ({"llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": 2.0}, "short_factor"),
        (
            {"llama.attention.head_count_kv": [2, 1]},
            "head_count_kv that differs from layer to layer",
        ),
    ],
)
def test_what_the_graph_does_not_model_is_refused(
    tmp_path: Path, extra: dict[str, Any], said: str
) -> None:
    assert said in refused(write_gguf(tmp_path / "tiny.gguf", extra=extra), tmp_path / "out")


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "tiny.gguf", architecture="mamba")
    assert "'mamba'" in refused(source, tmp_path / "out")


def test_a_tensor_that_no_rule_reads_is_refused(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "tiny.gguf", more_shapes={"attn_sinks.weight": (4,)})
    assert "attn_sinks" in refused(source, tmp_path / "out")


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "tiny.gguf", more_shapes={"ffn_up.weight": (80, 64)})
    assert "[80, 64]" in refused(source, tmp_path / "out")


def test_an_unknown_weight_format_is_refused(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "tiny.gguf")
    assert "'int3'" in refused(source, tmp_path / "out", weights="int3")


def test_a_big_endian_file_is_refused_by_name(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "tiny.gguf", "F16", big_endian=True)
    assert "big-endian" in refused(source, tmp_path / "out")


@pytest.mark.parametrize("version", [1, 4])
def test_another_version_is_refused_by_its_number(tmp_path: Path, version: int) -> None:
    source = write_gguf(tmp_path / "tiny.gguf")
    content = bytearray(source.read_bytes())
    content[4] = version
    source.write_bytes(content)
    assert f"version {version}" in refused(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"llama.block_count": 2**31}, "2147483648 layers, but holds 2"),
        ({"llama.block_count": 1}, "1 layers, but holds 2"),
        ({"llama.attention.head_count": 0}, "llama.attention.head_count is 0"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "epsilon is nan"),
        ({"llama.embedding_length": "64"}, "embedding_length is '64'"),
        ({"tokenizer.ggml.tokens": [str(i) for i in range(VOCAB + 1)]}, "289 tokens"),
    ],
)
def test_what_no_model_can_have_is_refused(
    tmp_path: Path, extra: dict[str, Any], said: str
) -> None:
    assert said in refused(write_gguf(tmp_path / "tiny.gguf", extra=extra), tmp_path / "out")


def test_the_same_value_for_each_layer_is_that_value(tmp_path: Path) -> None:
    extra = {"llama.attention.head_count_kv": [2, 2], "llama.feed_forward_length": [96, 96]}
    whole = open_gguf(write_gguf(tmp_path / "whole.gguf"))
    by_layer = open_gguf(write_gguf(tmp_path / "by_layer.gguf", extra=extra))
    assert by_layer.config == whole.config


@pytest.mark.parametrize(
    ("extra", "scaling"),
    [
        ({}, None),
        ({"llama.rope.scale_linear": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        ({"llama.rope.scaling.factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        (
            {"llama.rope.scaling.type": "linear", "llama.rope.scale_linear": 4.0},
            {"rope_type": "linear", "factor": 4.0},
        ),
        ({"llama.rope.scale_linear": 1.0}, None),
        ({"llama.rope.scaling.factor": 0.0}, None),
        ({"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0}, None),
    ],
)
def test_rope_scaling_is_read_under_every_spelling(
    tmp_path: Path, extra: dict[str, Any], scaling: dict[str, Any] | None
) -> None:
    checkpoint = open_gguf(write_gguf(tmp_path / "tiny.gguf", extra=extra))
    assert checkpoint.config["rope_scaling"] == scaling
    angle = read_decoder(checkpoint).spec.inv_freq[0]
    assert angle == (1.0 if scaling is None else 0.25)


def test_any_part_of_a_split_file_is_the_whole_model(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "whole.gguf", "Q8_0")
    first = write_gguf(tmp_path / "tiny.gguf", "Q8_0", tensors_a_file=8)
    parts = sorted(tmp_path.glob("tiny-*.gguf"))
    assert len(parts) == 3
    assert first == parts[0]
    expected = logits_of(export_model(str(whole), tmp_path / "out"))
    for number, part in enumerate(parts):
        out = export_model(str(part), tmp_path / f"out-{number}")
        np.testing.assert_array_equal(logits_of(out), expected)


def test_a_split_file_without_a_part_is_refused_by_its_name(tmp_path: Path) -> None:
    first = write_gguf(tmp_path / "tiny.gguf", tensors_a_file=8)
    (tmp_path / "tiny-00002-of-00003.gguf").unlink()
    assert "lacks tiny-00002-of-00003.gguf" in refused(first, tmp_path / "out")


def test_parts_under_each_others_names_are_refused(tmp_path: Path) -> None:
    first = write_gguf(tmp_path / "tiny.gguf", tensors_a_file=8)
    second, third = tmp_path / "tiny-00002-of-00003.gguf", tmp_path / "tiny-00003-of-00003.gguf"
    content = second.read_bytes()
    second.write_bytes(third.read_bytes())
    third.write_bytes(content)
    assert "is part 3 of 3, not 2 of 3" in refused(first, tmp_path / "out")


def test_a_part_under_another_name_says_what_it_is(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf", tensors_a_file=8)
    renamed = (tmp_path / "tiny-00002-of-00003.gguf").rename(tmp_path / "second.gguf")
    assert "is part 2 of 3 of a model" in refused(renamed, tmp_path / "out")
