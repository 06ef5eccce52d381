"""Model folders in every layout, and each way in which one can be incomplete, damaged or hostile."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export import ExportError, artifacts, export_model
from export.sources.directory import open_directory
from tests.export.folders import (
    LLAMA,
    write_archive,
    write_folder,
    write_safetensors,
    write_tokenizer,
)
from tests.export.reference import from_hugging_face
from tests.export.running import Stateful, compiled

TEXT = [3, 1, 4, 1, 5, 9, 2, 6]
INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("layout", ["safetensors", "safetensors-sharded", "bin", "bin-sharded"])
def test_every_layout_reads_the_same_values(tmp_path: Path, layout: str, dtype: str) -> None:
    written = write_folder(tmp_path, LLAMA, layout=layout, dtype=dtype)
    checkpoint = open_directory(tmp_path)
    assert checkpoint.tensors.keys() == written.keys()
    for name, tensor in checkpoint.tensors.items():
        np.testing.assert_array_equal(tensor.read(), written[name], name)


def test_a_folder_becomes_a_model_directory(tmp_path: Path) -> None:
    source = tmp_path / "source"
    written = write_folder(source, LLAMA, layout="bin-sharded")
    write_tokenizer(source)
    (source / "generation_config.json").write_text('{"eos_token_id": 7, "temperature": 0.5}')
    out = export_model(str(source), tmp_path / "out", weights="fp16")
    assert artifacts.is_complete(out)
    run = Stateful(compiled(out / artifacts.MODEL_XML))
    wanted = from_hugging_face(LLAMA, written).logits(TEXT)
    np.testing.assert_allclose(run.step([TEXT])[0], wanted, rtol=0, atol=1e-4)
    generation = json.loads((out / "generation_config.json").read_text())
    assert generation["eos_token_id"][:2] == [7, 258]
    assert generation["temperature"] == 0.5
    config = json.loads((out / "config.json").read_text())
    assert config["head_dim"] == 16


def test_safetensors_are_preferred(tmp_path: Path) -> None:
    written = write_folder(tmp_path, LLAMA)
    (tmp_path / "pytorch_model.bin").write_bytes(b"never read")
    assert open_directory(tmp_path).tensors.keys() == written.keys()


def test_opening_reads_no_weights(tmp_path: Path) -> None:
    write_folder(tmp_path, LLAMA)
    tensor = open_directory(tmp_path).tensors["lm_head.weight"]
    base = tensor.stored
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_names_that_training_wrapped_are_unwrapped(tmp_path: Path, prefix: str) -> None:
    """What torch.compile and data-parallel training save."""
    written = write_folder(tmp_path, LLAMA)
    wrapped = {prefix + name: tensor for name, tensor in written.items()}
    write_safetensors(tmp_path / "model.safetensors", wrapped, "BF16")
    assert open_directory(tmp_path).tensors.keys() == written.keys()


def test_a_byte_order_mark_is_no_part_of_the_configuration(tmp_path: Path) -> None:
    write_folder(tmp_path, LLAMA)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), "utf-8-sig")
    assert open_directory(tmp_path).config == LLAMA


def refused(folder: Path, tmp_path: Path) -> str:
    out = tmp_path / "out"
    with pytest.raises(ExportError) as caught:
        export_model(str(folder), out)
    assert not out.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    write_folder(source, LLAMA)
    write_tokenizer(source)
    return source


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 0.999])
def test_a_truncated_safetensors_file_is_refused(
    folder: Path, tmp_path: Path, share: float
) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "model.safetensors is damaged or cut short" in refused(folder, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.999])
def test_a_truncated_bin_file_is_refused(tmp_path: Path, share: float) -> None:
    source = tmp_path / "source"
    write_folder(source, LLAMA, layout="bin")
    path = source / "pytorch_model.bin"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    said = refused(source, tmp_path)
    assert "damaged" in said or "not a zip checkpoint" in said


@pytest.mark.parametrize("layout", ["safetensors-sharded", "bin-sharded"])
def test_a_missing_shard_is_named(tmp_path: Path, layout: str) -> None:
    source = tmp_path / "source"
    write_folder(source, LLAMA, layout=layout)
    shard = next(source.glob("*00002-of-00002*"))
    shard.unlink()
    assert shard.name in refused(source, tmp_path)


def test_an_index_cannot_point_outside_the_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    tensors = write_folder(source, LLAMA)
    (source / "model.safetensors").unlink()
    write_safetensors(tmp_path / "secret.safetensors", tensors, "F32")
    weight_map = dict.fromkeys(tensors, "../secret.safetensors")
    (source / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    assert "secret.safetensors" in refused(source, tmp_path)


class Hostile:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def test_a_malicious_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_folder(source, LLAMA, layout="bin")
    trace = tmp_path / "was-run"
    payload = pickle.dumps({"weight": Hostile(f"touch {trace}")})
    write_archive(source / "pytorch_model.bin", payload, {})
    assert "system" in refused(source, tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"ccollections\nOrderedDict.__init__\n.",
        b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.",
        b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
    ],
)
def test_no_name_outside_the_list_is_reached(tmp_path: Path, payload: bytes) -> None:
    source = tmp_path / "source"
    write_folder(source, LLAMA, layout="bin")
    write_archive(source / "pytorch_model.bin", payload, {})
    assert "more than tensors" in refused(source, tmp_path)


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_folder(source, LLAMA, layout="bin")
    rebuilt = (
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n"
        b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        b"K\x04tQK\x00(M\xff\xfft(K\x01t\x89NtRs."
    )
    write_archive(source / "pytorch_model.bin", rebuilt, {"0": b"\0" * 16})
    assert "damaged" in refused(source, tmp_path)


def test_an_old_torch_file_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_folder(source, LLAMA, layout="bin")
    (source / "pytorch_model.bin").write_bytes(pickle.dumps({"magic": 1}, protocol=2))
    assert "safetensors" in refused(source, tmp_path)


def test_an_openvino_directory_needs_no_export(tmp_path: Path) -> None:
    (tmp_path / artifacts.MODEL_XML).write_text("<net/>")
    (tmp_path / artifacts.MODEL_BIN).write_bytes(b"")
    assert "app.py --model" in refused(tmp_path, tmp_path)


def test_a_folder_without_config_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").unlink()
    assert "config.json" in refused(folder, tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_damaged_config_is_refused(folder: Path, tmp_path: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert "config.json" in refused(folder, tmp_path)


def test_a_folder_without_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no weights" in refused(folder, tmp_path)


def test_an_adapter_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    assert "LoRA" in refused(folder, tmp_path)


def test_weights_in_other_types_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_folder(source, LLAMA)
    path = source / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"BF16"', b'"I16" ', 1))
    assert "I16" in refused(source, tmp_path)


def test_a_group_that_divides_no_width_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="does not divide"):
        export_model(str(folder), tmp_path / "out", weights="int4", group_size=48)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from export import exporter

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(exporter, "write_metadata", full)
    assert "No space is left" in refused(folder, tmp_path)
    assert not list(tmp_path.glob(".export-*"))


@pytest.mark.parametrize("largest", [100, 100_000])
def test_files_that_cannot_be_written_are_one_sentence(
    folder: Path, tmp_path: Path, largest: int
) -> None:
    """A limit on the size of files stands for the full disk: at the tokenizer, or at the weights."""
    script = (
        "import resource, sys; from export.__main__ import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, {largest})); sys.exit(main())"
    )
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            str(folder),
            "--out",
            str(tmp_path / "out"),
            "--weights=fp16",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert run.stderr.splitlines()[-1].startswith("export: ")
    assert not list(tmp_path.glob("*export-*"))
    assert not (tmp_path / "out").exists()
