"""What `--model` may be, and what `auto` chooses, against a small server that speaks as the hub does."""

import os
import socket
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from export import ExportError, artifacts, catalog, export_model
from export.progress import silent
from tests import ROOT
from tests.export import hub_server
from tests.export.checkpoints import write_gguf
from tests.export.folders import FAMILIES, write_folder, write_tokenizer
from tests.export.hub_server import Hub, serving
from web import model_source, view
from web.languages.texts import LANGUAGES, say
from web.model_source import (
    FALLBACK,
    READY_MADE,
    TO_EXPORT,
    ModelChoice,
    model_reference,
    ready_model,
)
from web.options import Options
from web.startup import Startup


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 as its makers would publish it."""
    folder = tmp_path_factory.mktemp("tiny") / "qwen3"
    write_folder(folder, FAMILIES["qwen3"])
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    return export_model(str(checkpoint), checkpoint.parent / "exported")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    (tmp_path / "hub").mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    with serving(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def small_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog's model without its download."""
    monkeypatch.setattr(
        catalog, "fetch", lambda _entry, folder, _progress: write_gguf(folder / "tiny.gguf", "Q4_0")
    )


def publish(hub: Hub, name: str, files: Path, *without: str) -> None:
    """Put a model on the hub as the OpenVINO organisation does: no manifest of ours."""
    folder = hub.root / name
    folder.mkdir(parents=True)
    for path in files.iterdir():
        if path.name not in ("manifest.json", *without):
            os.link(path, folder / path.name)


def auto(data_dir: Path) -> ModelChoice:
    return ready_model("auto", data_dir, silent)


def manifest_of(choice: ModelChoice) -> tuple[object, object]:
    manifest = artifacts.read_manifest(choice.directory)
    assert manifest is not None
    assert artifacts.is_complete(choice.directory)
    return manifest["source"], manifest["weights"]


def test_auto_takes_the_ready_made_model_of_the_hub(
    hub: Hub, exported: Path, tmp_path: Path
) -> None:
    publish(hub, READY_MADE, exported)
    choice = auto(tmp_path / "data")
    assert choice == ModelChoice(tmp_path / "data" / "models" / "Qwen3-0.6B-int4-ov")
    assert manifest_of(choice) == ({"hub": READY_MADE}, "ready-made")
    assert "manifest.json" not in {name for name, _ in hub.fetched}


def test_auto_exports_the_checkpoint_to_int4_if_there_is_no_ready_made_one(
    hub: Hub, checkpoint: Path, tmp_path: Path
) -> None:
    publish(hub, TO_EXPORT, checkpoint)
    choice = auto(tmp_path / "data")
    source, weights = manifest_of(choice)
    assert source == {"hub": TO_EXPORT}
    assert str(weights).startswith("int4")
    assert choice.note is None


def test_auto_falls_back_where_the_hub_has_neither(
    hub: Hub, tmp_path: Path, small_fallback: None
) -> None:
    assert auto(tmp_path / "data").note == "model_not_on_hub"


@pytest.mark.parametrize("how", ["refused", "silent", "offline"])
def test_auto_falls_back_soon_and_says_so_where_the_hub_cannot_be_reached(
    how: str, tmp_path: Path, small_fallback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_source, "_HUB_ANSWERS_WITHIN_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # takes connections, never says a word
        port = 9 if how == "refused" else nobody.getsockname()[1]
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
        if how == "offline":
            monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        started = time.monotonic()
        assert model_source.FALLBACK == FALLBACK
        told: list[ModelChoice] = []
        choice = ready_model("auto", tmp_path / "data", silent, told.append)
    assert choice == ModelChoice(tmp_path / "data" / "models" / FALLBACK, "model_hub_unreachable")
    assert told == [choice]
    assert time.monotonic() - started < 5
    assert manifest_of(choice)[1] == "native"


def test_a_download_that_stops_in_the_middle_falls_back_too(
    hub: Hub, exported: Path, tmp_path: Path, small_fallback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, READY_MADE, exported)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 1)
    served = hub_server._Request._file

    def fails(request, repository, revision, name):  # type: ignore[no-untyped-def]
        if name.endswith(".bin"):
            request.connection.close()
        else:
            served(request, repository, revision, name)

    monkeypatch.setattr(hub_server._Request, "_file", fails)
    choice = auto(tmp_path / "data")
    assert choice.note == "model_hub_unreachable"
    assert [path.name for path in (tmp_path / "data" / "models").iterdir()] == [FALLBACK]


def test_auto_prefers_what_is_here_and_was_used_last(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    models = tmp_path / "models"
    first = export_model(str(checkpoint), models / "first")
    second = export_model(str(checkpoint), models / "second", "fp16")
    broken = export_model(str(checkpoint), models / "broken")
    (broken / artifacts.MODEL_BIN).unlink()
    assert auto(tmp_path).directory == second
    ready_model(str(first), tmp_path, silent)
    assert auto(tmp_path) == ModelChoice(first)


def test_auto_says_that_what_is_here_is_the_small_one(checkpoint: Path, tmp_path: Path) -> None:
    export_model(str(checkpoint), tmp_path / "models" / FALLBACK)
    assert auto(tmp_path).note == "model_small"


def test_notes_have_words_in_every_language() -> None:
    for note in ("model_hub_unreachable", "model_not_on_hub", "model_small"):
        for language in LANGUAGES:
            assert "SmolLM2-135M" in say(language, note)


def test_terminal_and_page_say_that_the_hub_cannot_be_reached(
    options: Options,
    small_fallback: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    startup = Startup(replace(options, kv_budget_bytes=8 << 20)).start()
    try:
        startup._thread.join(30)
        assert startup.phase == "ready", startup.failure
        assert startup.model_name == FALLBACK
        assert "The hub cannot be reached" in caplog.text
        assert "The hub cannot be reached" in view.status(startup, "en")
        assert "无法连接模型站" in view.status(startup, "zh-CN")
    finally:
        startup.close(5)


def test_a_model_of_the_hub_goes_by_its_name(hub: Hub, exported: Path, tmp_path: Path) -> None:
    publish(hub, "someone/tiny", exported, "openvino_tokenizer.xml", "openvino_detokenizer.bin")
    choice = ready_model("someone/tiny", tmp_path / "data", silent)
    assert choice.directory == tmp_path / "data" / "models" / "tiny"
    assert manifest_of(choice)[1] == "ready-made"
    fetched = len(hub.fetched)
    ready_model("someone/tiny", tmp_path / "data", silent)
    assert len(hub.fetched) == fetched


def test_a_ready_made_model_takes_no_weight_format(
    hub: Hub, exported: Path, tmp_path: Path
) -> None:
    publish(hub, "someone/tiny", exported)
    with pytest.raises(ExportError, match="taken as it is; leave out --weights"):
        export_model("someone/tiny", tmp_path / "out", "int4")
    assert not (tmp_path / "out").exists()


def test_a_directory_is_completed_where_it_lies(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in (artifacts.MODEL_XML, artifacts.MODEL_BIN, "config.json", "tokenizer.json"):
        os.link(exported / name, folder / name)
    assert ready_model(str(folder), tmp_path / "data", silent).directory == folder
    assert (folder / "openvino_tokenizer.xml").is_file()
    assert (folder / "openvino_detokenizer.bin").is_file()


def test_what_genai_saves_beside_a_gguf_is_completed_from_it(tmp_path: Path) -> None:
    gguf = write_gguf(tmp_path / "tiny.gguf", "Q4_0")
    made = export_model(str(gguf), tmp_path / "made")
    folder = tmp_path / "saved"
    folder.mkdir()
    for path in (gguf, *made.glob("openvino_*")):
        os.link(path, folder / path.name)
    before = (folder / "openvino_tokenizer.xml").read_bytes()
    ready_model(str(folder), tmp_path / "data", silent)
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (made / name).read_bytes()
    assert (folder / "openvino_tokenizer.xml").read_bytes() == before


def test_a_directory_that_cannot_be_completed_is_one_sentence(
    exported: Path, tmp_path: Path
) -> None:
    for name in (artifacts.MODEL_XML, artifacts.MODEL_BIN):
        os.link(exported / name, tmp_path / name)
    with pytest.raises(ExportError, match=r"no config\.json; download it again"):
        ready_model(str(tmp_path), tmp_path / "data", silent)


def test_references_are_told_apart(exported: Path, tmp_path: Path) -> None:
    for text in ("auto", FALLBACK, str(exported), "Qwen/Qwen3-0.6B", "a/b@v1", "modelscope:a/b"):
        assert model_reference(text) == text
    for text in ("plain", str(tmp_path), str(tmp_path / "absent" / "model"), "modelscope:plain"):
        with pytest.raises(ArgumentTypeError):
            model_reference(text)


def test_modelscope_without_its_client_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="pip install modelscope"):
        ready_model("modelscope:someone/tiny", tmp_path, silent)


def test_the_app_answers_with_a_model_of_the_hub(hub: Hub, exported: Path, tmp_path: Path) -> None:
    publish(hub, READY_MADE, exported, "openvino_tokenizer.bin")
    command = [sys.executable, "app.py", "--ask", "hello", "--raw", "--max-tokens", "3"]
    run = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data"), "--kv-budget", "8MiB"],
        cwd=ROOT,
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("hello")
    assert "reused 0 · new" in run.stderr
