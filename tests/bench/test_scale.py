"""The pure parts of the scale benchmark: lines through points, synthetic checkpoints."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from bench import synthetic
from bench.fit import fit
from export.sources.safetensors import read_safetensors

TINY = synthetic.Shape(
    model_type="qwen2",
    hidden=64,
    wide=96,
    layers=2,
    heads=4,
    kv_heads=2,
    vocab=300,
    tied=True,
    qkv_bias=True,
)


def test_points_on_a_line_give_that_line() -> None:
    line = fit({0: 5.0, 10: 25.0, 40: 85.0})
    assert (line.a, line.b, line.r2) == pytest.approx((5, 2, 1))


def test_points_beside_a_line_lower_r2() -> None:
    line = fit({0: 0.0, 1: 1.0, 2: 0.0})
    assert line.b == pytest.approx(0)
    assert line.r2 == pytest.approx(0)


def test_constant_points_have_no_growth() -> None:
    line = fit({1: 3.0, 2: 3.0, 4: 3.0})
    assert (line.a, line.r2) == pytest.approx((3, 1))
    assert abs(line.b) < 1e-12


def test_a_synthetic_checkpoint_has_the_shapes_and_no_two_equal_layers(tmp_path: Path) -> None:
    synthetic.write_checkpoint(tmp_path, TINY)
    tensors = read_safetensors(tmp_path / "model.safetensors")
    assert {name: tensor.shape for name, tensor in tensors.items()} == TINY.tensors()
    first, second = (tensors[f"model.layers.{i}.mlp.up_proj.weight"].read(0, 96) for i in range(2))
    assert first.std() == pytest.approx(0.02, rel=0.1)
    assert not np.array_equal(first, second)


def test_the_shapes_have_as_many_weights_as_their_models() -> None:
    counts = {
        name: sum(int(np.prod(size)) for size in shape.tensors().values())
        for name, shape in synthetic.SHAPES.items()
    }
    assert counts == {"llama-2-7b": 6_738_415_616, "qwen2.5-0.5b": 494_032_768}


def test_each_byte_is_one_token_and_every_token_can_be_decoded(tmp_path: Path) -> None:
    synthetic.write_tokenizer(tmp_path, TINY.vocab)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert len(tokenizer.encode("Grüße <|im_end|>").ids) == 9
    assert tokenizer.get_vocab_size() == TINY.vocab
    assert tokenizer.decode(tokenizer.encode("Grüße").ids) == "Grüße"
