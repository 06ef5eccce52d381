"""Every family, from its own file layout to logits, against the independent reference at 1e-4."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.model.batch import build_inputs
from engine.model.kv_cache import KVCache, StateTables
from engine.model.model import CompileOptions, Model
from engine.scheduling.checkpoints import Checkpoints, state_pool
from engine.scheduling.sequence import Batch, Sequence
from export import families, plain
from export.errors import ExportError
from export.exporter import write_model
from export.families import read_decoder
from export.formats import WeightFormat
from export.metadata import write_metadata
from export.progress import silent
from export.sources.directory import open_directory
from tests.export import folders
from tests.export.checkpoints import VOCAB
from tests.export.folders import CHATGLM, LFM2, LLAMA, LLAMA_3_SCALING, Config, write_folder
from tests.export.lfm2_reference import from_lfm2
from tests.export.plain import PLAIN
from tests.export.reference import F, from_chatglm, from_hugging_face
from tests.export.running import Paged, Stateful, compiled, pieces
from tests.export.sparse import SPARSE

FAMILIES = {**folders.FAMILIES, **PLAIN, **SPARSE}
TEXT = [(7 * i * i + 3 * i) % VOCAB for i in range(70)]
OTHER = [(5 * i * i + i + 11) % VOCAB for i in range(41)]
TOLERANCE = 1e-4


def expected(config: Config, tensors: dict[str, F], ids: list[int]) -> F:
    readers = {"chatglm": from_chatglm, "lfm2": from_lfm2}
    return readers.get(config["model_type"], from_hugging_face)(config, tensors).logits(ids)


def write_ir(folder: Path, out: Path, kv: str = "stateful", weights: str = "fp16") -> Path:
    out.mkdir(exist_ok=True)
    decoder = read_decoder(open_directory(folder))
    write_model(out, decoder, WeightFormat(weights), kv, silent)
    return out / "openvino_model.xml"


def close(got: F, wanted: F) -> None:
    np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE)


@pytest.fixture(scope="module", params=FAMILIES, ids=str)
def family(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config, Any]:
    config = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp("source")
    return folder, config, write_folder(folder, config)


Family = tuple[Path, Config, dict[str, F]]


@pytest.fixture(scope="module")
def stateful_xml(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ir(family[0], tmp_path_factory.mktemp("stateful"))


@pytest.fixture(scope="module")
def wanted(family: Family) -> F:
    return expected(family[1], family[2], TEXT)


@pytest.mark.parametrize("kv", ["stateful", "explicit"])
def test_whole_token_by_token_and_padded_equal_the_reference(
    family: Family, stateful_xml: Path, wanted: F, kv: str, tmp_path: Path
) -> None:
    folder, config, tensors = family
    xml = stateful_xml if kv == "stateful" else write_ir(folder, tmp_path, kv)
    run = Stateful(compiled(xml))
    close(run.step([TEXT])[0], wanted)
    run.reset()
    close(np.concatenate([run.step([part])[0] for part in pieces(TEXT, 33, 29)]), wanted)
    run.reset()
    pad = len(TEXT) - len(OTHER)
    mask = [[1] * len(TEXT), [0] * pad + [1] * len(OTHER)]
    batch = run.step([TEXT, [0] * pad + OTHER], mask)
    close(batch[0], wanted)
    close(batch[1, pad:], expected(config, tensors, OTHER))
    grown = run.step([[3], [5]])
    close(grown[0, -1], expected(config, tensors, [*TEXT, 3])[-1])
    close(grown[1, -1], expected(config, tensors, [*OTHER, 5])[-1])


def test_paged_equals_the_reference(stateful_xml: Path, wanted: F) -> None:
    paged = Paged(stateful_xml)
    assert paged.block_size < len(TEXT)
    close(np.concatenate([paged.step(part) for part in pieces(TEXT, 37, 23)]), wanted)


def goes_through_the_engine(xml: Path, wanted: F) -> None:
    """In pieces, single tokens in a graph of their own."""
    options = CompileOptions(
        device="CPU", num_threads=2, kv_precision="f32", precision="f32", single_token=True
    )
    model = Model(xml.parent, options)
    assert model.has_single_token_graph
    states = state_pool(4)
    model.bind(KVCache(model.kv_ports, 8), StateTables(model.state_ports, 4))
    past, kept = 0, Checkpoints()
    for part in pieces(TEXT, 37, 23):
        sequence = Sequence([*TEXT[:past], *part], list(range(8)), past, len(part), states=kept)
        kept.plan(past, past + len(part), states)
        past += len(part)
        close(model.forward(build_inputs(Batch([sequence], [])))[0], wanted[past - 1])
        kept.commit(states)


def test_the_engine_has_a_graph_for_its_single_tokens(stateful_xml: Path, wanted: F) -> None:
    goes_through_the_engine(stateful_xml, wanted)


@pytest.mark.parametrize("name", FAMILIES)
def test_keys_that_cannot_be_moved_by_turning_them_are_not_said_to_be(
    tmp_path: Path, name: str
) -> None:
    """Layers that do not rotate, or otherwise, and norms behind the rotation."""
    write_folder(tmp_path, FAMILIES[name])
    checkpoint = open_directory(tmp_path)
    write_metadata(tmp_path, checkpoint, read_decoder(checkpoint).spec, [])
    said = json.loads((tmp_path / "config.json").read_text("utf-8"))
    differ = {"smollm3", "gemma3_text", "hunyuan_v1_dense", "olmo3", "lfm2"}
    moved = FAMILIES[name]["model_type"] not in differ and name != "exaone4"
    assert ("rotary_inv_freq" in said) == moved


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "mamba"}, "'mamba'"),
        ({"rope_scaling": {"rope_type": "proportional", "factor": 4.0}}, "'proportional'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "'factor'"),
        ({"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}, "'short_factor'"),
        ({"rope_scaling": {**LLAMA_3_SCALING, "factor": None}}, "'factor'"),
        ({"model_type": "qwen2", "layer_types": ["linear_attention"]}, "linear_attention"),
        ({"num_local_experts": 8}, "mixture of experts"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
        ({"hidden_act": "gelu"}, "'gelu'"),
        ({"hidden_size": None}, "'hidden_size'"),
        ({"num_attention_heads": 3}, "do not divide"),
        ({"vocab_size": 300}, "300"),
        ({"num_hidden_layers": 3}, "lacks model.layers.2"),
        ({"num_hidden_layers": 1}, "model.layers.1"),
    ],
    ids=str,
)
def test_what_a_family_does_not_model_is_refused(tmp_path: Path, change: Config, said: str) -> None:
    refused(tmp_path, {**LLAMA, **change}, LLAMA, said)


def test_alibi_is_refused_by_name(tmp_path: Path) -> None:
    baichuan = PLAIN["baichuan"]
    of_13b = {key: v for key, v in baichuan.items() if key != "max_position_embeddings"}
    refused(tmp_path, {**of_13b, "model_max_length": 4096}, baichuan, "ALiBi")


def test_the_second_baichuans_head_has_rows_of_length_one(tmp_path: Path) -> None:
    config = PLAIN["baichuan"]
    tensors = write_folder(tmp_path, config)
    checkpoint = open_directory(tmp_path)
    spec = replace(read_decoder(checkpoint).spec, vocab=125696)
    head = plain.baichuan_names(spec, checkpoint.tensors)["lm_head.weight"]
    unit = tensors["lm_head.weight"][7:9]
    unit = unit / np.sqrt((unit * unit).sum(1, keepdims=True))
    np.testing.assert_allclose(head.read(7, 9), unit, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "windowed"),
    [
        ({"model_type": "mistral"}, range(32)),
        ({"model_type": "mistral", "sliding_window": None}, ()),
        ({"model_type": "qwen2", "sliding_window": 4096}, ()),
        ({"model_type": "qwen3", "use_sliding_window": True}, range(28, 32)),
        ({"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 0}, range(32)),
    ],
    ids=str,
)
def test_windows_are_what_a_silent_configuration_means(
    config: Config, windowed: Iterable[int]
) -> None:
    family = families.FAMILIES[config["model_type"]]
    many = {"num_hidden_layers": 32, "max_position_embeddings": 32768}
    assert family.spec({**family.defaults, **LLAMA, **many, **config}).windowed == set(windowed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pre_seq_len": 128}, "pre_seq_len"),
        ({"quantization_bit": 4}, "quantization_bit"),
        ({"rmsnorm": False}, "rmsnorm"),
        ({"kv_channels": 16}, "query_key_value"),
    ],
    ids=str,
)
def test_what_chatglm_does_not_model_is_refused(tmp_path: Path, change: Config, said: str) -> None:
    refused(tmp_path, {**CHATGLM, **change}, CHATGLM, said)


def test_layers_of_another_kind_are_refused(tmp_path: Path) -> None:
    kinds = ["conv", "full_attention", "sliding_attention", "conv"]
    refused(tmp_path, {**LFM2, "layer_types": kinds}, LFM2, "sliding_attention")


def refused(folder: Path, config: Config, written: Config, said: str) -> None:
    write_folder(folder, written)
    write_folder_config(folder, config)
    with pytest.raises(ExportError) as caught:
        read_decoder(open_directory(folder))
    assert said in str(caught.value)


def write_folder_config(folder: Path, config: Config) -> None:
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
