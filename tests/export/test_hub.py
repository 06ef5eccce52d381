"""Downloads from the hub, against a local server that speaks its protocol."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from export import ExportError, artifacts
from export.sources.hub_source import HubSource, parse, weight_files
from tests import ROOT
from tests.export.checkpoints import write_gguf
from tests.export.folders import LLAMA, write_folder, write_tokenizer
from tests.export.hub_server import TOKEN, Hub, serving
from tests.export.quantized import write_quantized
from tests.export.socks_server import socks_proxy
from tests.export.test_quantized import FORMS

NAME = "someone/tiny-llama"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "hub" / NAME
    write_folder(folder, LLAMA, layout="safetensors-sharded")
    write_tokenizer(folder)
    (folder / "pytorch_model.bin").write_bytes(b"the same again")
    (folder / "modeling_tiny.py").write_text("raise SystemExit('never run')")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"not needed")
    with serving(tmp_path / "hub") as server:
        yield server


def export(
    source: str, tmp_path: Path, endpoint: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: the hub's client reads its settings at import."""
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    settings = {
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "3",
        "HF_HUB_DOWNLOAD_TIMEOUT": "3",
    }
    return subprocess.run(
        [sys.executable, "-m", "export", source, "--out", str(tmp_path / "out")],
        cwd=tmp_path,
        env={**kept, **settings, **extra},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def sentence(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("export: ")
    return last


def test_a_hub_model_is_exported_from_the_needed_files_alone(hub: Hub, tmp_path: Path) -> None:
    run = export(NAME, tmp_path, hub.url)
    assert run.returncode == 0, run.stderr
    assert artifacts.is_complete(tmp_path / "out")
    names = [name for name, _ in hub.fetched]
    assert sorted(names) == [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
    ]
    manifest = artifacts.read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest["source"] == {"hub": NAME}


def test_weights_by_a_name_of_their_own_are_found_and_kept(tmp_path: Path) -> None:
    """As AutoGPTQ writes them, in one file or several."""
    folder = tmp_path / "hub" / "someone" / "gptq"
    config = {**FORMS["gptq"].config, "eos_token_id": 258}
    write_quantized(folder, config, FORMS["gptq"].write)
    write_tokenizer(folder)
    (folder / "model.safetensors").rename(folder / "gptq_model-4bit-32g.safetensors")
    with serving(tmp_path / "hub") as server:
        run = export("someone/gptq", tmp_path, server.url)
        assert run.returncode == 0, run.stderr
        assert "gptq_model-4bit-32g.safetensors" in [name for name, _ in server.fetched]
        (tmp_path / "out" / artifacts.MODEL_BIN).unlink()
        fetched = len(server.fetched)
        assert export("someone/gptq", tmp_path, server.url).returncode == 0
        assert len(server.fetched) == fetched


def test_files_beside_no_configuration_are_no_weights() -> None:
    assert weight_files(["sd_xl_base.safetensors", "README.md"], str) == []
    assert weight_files(["a.safetensors", "b/c.safetensors", "config.json"], str) == [
        "a.safetensors"
    ]


def test_nothing_is_fetched_twice(hub: Hub, tmp_path: Path) -> None:
    export(NAME, tmp_path, hub.url)
    (tmp_path / "out" / artifacts.MODEL_BIN).unlink()
    fetched = len(hub.fetched)
    assert export(NAME, tmp_path, hub.url).returncode == 0
    assert artifacts.is_complete(tmp_path / "out")
    assert len(hub.fetched) == fetched


def test_an_interrupted_download_resumes(hub: Hub, tmp_path: Path) -> None:
    """The client keeps what it has in pieces of 10 MB."""
    folder = hub.root / "someone" / "large"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    weights = folder / "model.safetensors"
    weights.write_bytes(os.urandom(24_000_000))
    hub.cut_after[weights.name] = 15_000_000
    assert "damaged" in sentence(until_fetched("someone/large", tmp_path, hub.url))
    starts = [start for name, start in hub.fetched if name == weights.name]
    assert starts[0] == 0
    assert starts[1] >= 10_000_000
    fetched = next((tmp_path / "hf").rglob("snapshots/*/model.safetensors"))
    assert fetched.read_bytes() == weights.read_bytes()


def until_fetched(name: str, tmp_path: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    """Run again after a dropped connection, as the message says."""
    run = export(name, tmp_path, endpoint)
    return export(name, tmp_path, endpoint) if "run the same command" in run.stderr else run


def test_a_revision_can_be_pinned(hub: Hub, tmp_path: Path) -> None:
    assert "no revision 'v2'" in sentence(export(f"{NAME}@v2", tmp_path, hub.url))
    hub.revisions.add("v2")
    assert export(f"{NAME}@v2", tmp_path, hub.url).returncode == 0


def test_a_gated_model_asks_for_a_token_and_takes_it(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add(NAME)
    assert "gated" in sentence(export(NAME, tmp_path, hub.url))
    assert not (tmp_path / "out").exists()
    assert export(NAME, tmp_path, hub.url, HF_TOKEN=TOKEN).returncode == 0


def test_an_unknown_model_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    assert "knows no model" in sentence(export("someone/absent", tmp_path, hub.url))


def test_an_unreachable_hub_is_one_sentence(tmp_path: Path) -> None:
    said = sentence(export(NAME, tmp_path, "http://127.0.0.1:9"))
    assert "could not be fetched" in said
    assert "HF_ENDPOINT" in said


def test_a_download_goes_through_the_proxy_that_is_named(hub: Hub, tmp_path: Path) -> None:
    run = export(NAME, tmp_path, "http://hub.invalid", HTTP_PROXY=hub.url)
    assert run.returncode == 0, run.stderr
    assert hub.proxied == {"hub.invalid"}


def test_a_download_goes_through_a_socks_proxy(hub: Hub, tmp_path: Path) -> None:
    with socks_proxy(hub.server_address[1]) as proxy:
        address = f"socks5h://127.0.0.1:{proxy.server_address[1]}"
        run = export(NAME, tmp_path, "http://hub.invalid", ALL_PROXY=address)
    assert run.returncode == 0, run.stderr
    assert proxy.asked == {b"hub.invalid"}


@pytest.mark.parametrize(
    ("name", "proxy", "said"),
    [
        ("ALL_PROXY", "socks4://127.0.0.1:9", "kind socks4"),
        ("https_proxy", "ftp://user:secret@proxy", "kind ftp"),
        ("HTTP_PROXY", "http://[", "is not an address"),
        ("HTTP_PROXY", "proxy:many", "write it like http://proxy:3128"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, name: str, proxy: str, said: str
) -> None:
    sentence_said = sentence(export(NAME, tmp_path, "http://127.0.0.1:9", **{name: proxy}))
    assert name.upper() in sentence_said
    assert said in sentence_said
    assert "secret" not in sentence_said


AWAY = "http://127.0.0.1:9"


@pytest.mark.parametrize("settings", [{}, {"HF_HUB_OFFLINE": "1"}])
@pytest.mark.parametrize("revision", ["", "@v2"])
def test_what_is_in_the_cache_needs_no_hub(
    hub: Hub, tmp_path: Path, settings: dict[str, str], revision: str
) -> None:
    hub.revisions.add("v2")
    assert export(NAME + revision, tmp_path, hub.url).returncode == 0
    shutil.rmtree(tmp_path / "out")
    run = export(NAME + revision, tmp_path, AWAY, **settings)
    assert run.returncode == 0, run.stderr
    assert artifacts.is_complete(tmp_path / "out")
    assert "could not be fetched" in sentence(export("someone/else", tmp_path, AWAY, **settings))


def test_a_cache_that_lacks_a_part_will_not_do(hub: Hub, tmp_path: Path) -> None:
    assert export(NAME, tmp_path, hub.url).returncode == 0
    shutil.rmtree(tmp_path / "out")
    next((tmp_path / "hf").rglob("model-00002-of-00002.safetensors")).unlink()
    assert "could not be fetched" in sentence(export(NAME, tmp_path, AWAY))


def test_a_gguf_file_in_the_cache_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    folder = hub.root / "someone" / "tiny-gguf"
    folder.mkdir()
    write_gguf(folder / "tiny.Q4_0.gguf", "Q4_0")
    source = "someone/tiny-gguf/tiny.Q4_0.gguf"
    assert export(source, tmp_path, hub.url).returncode == 0
    shutil.rmtree(tmp_path / "out")
    assert export(source, tmp_path, AWAY).returncode == 0


@pytest.mark.parametrize("named", [1, 3])
def test_a_split_gguf_model_is_fetched_whole_whichever_part_is_named(
    hub: Hub, tmp_path: Path, named: int
) -> None:
    folder = hub.root / "someone" / "tiny-gguf" / "q8"
    folder.mkdir(parents=True)
    write_gguf(folder / "tiny.gguf", "Q8_0", tensors_a_file=8)
    source = f"someone/tiny-gguf/q8/tiny-{named:05d}-of-00003.gguf"
    run = export(source, tmp_path, hub.url)
    assert run.returncode == 0, run.stderr
    shutil.rmtree(tmp_path / "out")
    assert export(source, tmp_path, AWAY).returncode == 0
    shutil.rmtree(tmp_path / "out")
    next((tmp_path / "hf").rglob("tiny-00002-of-00003.gguf")).unlink()
    assert "could not be fetched" in sentence(export(source, tmp_path, AWAY))


def test_a_cache_that_cannot_be_written_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    said = sentence(export(NAME, tmp_path, hub.url, HF_HOME=str(tmp_path / "file" / "hf")))
    assert "cannot be written" in said
    assert "HF_HOME" in said


def test_a_host_that_needs_no_proxy_is_asked_itself(hub: Hub, tmp_path: Path) -> None:
    settings = {"HTTP_PROXY": AWAY, "NO_PROXY": "127.0.0.1"}
    assert export(NAME, tmp_path, hub.url, **settings).returncode == 0


def test_a_gguf_file_of_a_repository_is_exported(hub: Hub, tmp_path: Path) -> None:
    folder = hub.root / "someone" / "tiny-gguf"
    folder.mkdir()
    write_gguf(folder / "tiny.Q4_0.gguf", "Q4_0")
    assert "name one of them" in sentence(export("someone/tiny-gguf", tmp_path, hub.url))
    assert export("someone/tiny-gguf/tiny.Q4_0.gguf", tmp_path, hub.url).returncode == 0


@pytest.mark.parametrize(
    ("source", "parsed"),
    [
        ("Qwen/Qwen3-0.6B", HubSource("Qwen/Qwen3-0.6B")),
        ("Qwen/Qwen3-0.6B@v1.0", HubSource("Qwen/Qwen3-0.6B", None, "v1.0")),
        ("a/b/sub/x.gguf@main", HubSource("a/b", "sub/x.gguf", "main")),
        ("plain", None),
        ("/absolute/path", None),
        ("a/b/c", None),
    ],
)
def test_sources_are_parsed(source: str, parsed: HubSource | None) -> None:
    assert parse(source) == parsed


def test_ready_made_models_are_fetched_whole() -> None:
    names = ["openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "x.safetensors"]
    assert weight_files(names, lambda _: "{}") == names[:3]


def test_modelscope_without_its_client_names_the_next_step(tmp_path: Path) -> None:
    from export import export_model

    with pytest.raises(ExportError, match="pip install modelscope"):
        export_model("modelscope:someone/tiny", tmp_path / "out")
