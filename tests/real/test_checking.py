"""Models that were not made here are compared: what paging drops of a mask is found before anybody is answered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from engine.errors import ModelUnsupported
from engine.model import checking
from engine.model.checking import check_once
from engine.model.model_files import read_settings
from export import export_model
from export.ready_made import LABEL
from tests.export.folders import FAMILIES, write_folder, write_tokenizer

Bias = Callable[[Any, Any], Any]  # of keys [keys] and their number, what is added to scores


@pytest.fixture(scope="module")
def made_here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    write_folder(folder / "source", {**FAMILIES["llama"], "eos_token_id": 258})
    write_tokenizer(folder / "source")
    return export_model(str(folder / "source"), folder / "model")


@pytest.fixture
def foreign(made_here: Path, tmp_path: Path) -> Path:
    """The same without the manifest of an export from here."""
    for name in ("openvino_model.xml", "openvino_model.bin", "config.json"):
        (tmp_path / name).write_bytes((made_here / name).read_bytes())
    return tmp_path


def check(model_dir: Path, seen: Path | None = None) -> None:
    check_once(model_dir, read_settings(model_dir), 2, seen)


def alibi(keys: Any, count: Any) -> Any:
    distance = ops.subtract(keys, ops.convert(count, "f32"))
    return ops.multiply(distance, ops.constant(np.float32(0.25)))


def local(keys: Any, count: Any) -> Any:
    """None of the keys that are more than 20 tokens behind the last."""
    first = ops.subtract(ops.convert(count, "f32"), ops.constant(np.float32(20)))
    near = ops.greater_equal(keys, first)
    return ops.select(near, ops.constant(np.float32(0)), ops.constant(np.float32(-1e4)))


def put_on_scores(model_dir: Path, bias: Bias) -> None:
    """Change the IR so that `bias` is added to the scores of each attention."""
    core = ov.Core()
    model = core.read_model(model_dir / "openvino_model.xml")
    shape = ops.shape_of(model.input("attention_mask").get_node(), "i64")
    count = ops.squeeze(ops.gather(shape, ops.constant([1]), ops.constant(0)), ops.constant([0]))
    keys = ops.convert(
        ops.range(ops.constant(np.int64(0)), count, ops.constant(np.int64(1)), "i64"), "f32"
    )
    for node in model.get_ordered_ops():
        if node.get_type_name() == "ScaledDotProductAttention":
            mask = node.input_value(3)
            node.input(3).replace_source_output(ops.add(mask, bias(keys, count)).output(0))
    ov.save_model(model, model_dir / "changed.xml", compress_to_fp16=False)
    for kind in ("xml", "bin"):
        (model_dir / f"changed.{kind}").replace(model_dir / f"openvino_model.{kind}")


def test_a_model_that_says_the_same_both_ways_is_taken_and_remembered(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "data" / "compared.json"
    check(foreign, seen)
    calls: list[Path] = []
    monkeypatch.setattr(checking, "compare", lambda model_dir, *_: calls.append(model_dir))
    check(foreign, seen)
    assert calls == []
    with (foreign / "openvino_model.xml").open("a") as xml:
        xml.write("\n")  # another model
    check(foreign, seen)
    assert calls == [foreign]


@pytest.mark.parametrize("bias", [alibi, local])
def test_what_paging_drops_of_a_mask_refuses_the_model(
    foreign: Path, tmp_path: Path, bias: Bias
) -> None:
    put_on_scores(foreign, bias)
    seen = tmp_path / "compared.json"
    with pytest.raises(ModelUnsupported, match="something else"):
        check(foreign, seen)
    assert not seen.exists(), "it would be taken next time"


def test_what_was_made_here_is_not_compared_again(
    made_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    monkeypatch.setattr(checking, "compare", lambda model_dir, *_: calls.append(model_dir))
    check(made_here)
    assert calls == []


@pytest.mark.parametrize("manifest", [json.dumps({"weights": LABEL}), "[]", "{"])
def test_what_was_fetched_ready_made_is_compared_though_it_has_a_manifest(
    foreign: Path, monkeypatch: pytest.MonkeyPatch, manifest: str
) -> None:
    (foreign / "manifest.json").write_text(manifest)
    calls: list[Path] = []
    monkeypatch.setattr(checking, "compare", lambda model_dir, *_: calls.append(model_dir))
    check(foreign)
    assert calls == [foreign]


@pytest.mark.parametrize("content", ["", "[1, {", '{"a": 1}', "[3]"])
def test_a_damaged_memory_of_comparisons_costs_one_more(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    seen = tmp_path / "compared.json"
    seen.write_text(content)
    calls: list[Path] = []
    monkeypatch.setattr(checking, "compare", lambda model_dir, *_: calls.append(model_dir))
    check(foreign, seen)
    check(foreign, seen)
    assert calls == [foreign]
