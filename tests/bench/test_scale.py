"""The scale benchmark without a model: lines, sections, steps of a crowd, synthetic checkpoints."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from tokenizers import Tokenizer

from bench import synthetic
from bench.fit import fit
from bench.hybrid_shape import QWEN3_5_0_8B
from bench.scale import batch, sections
from bench.scale.large import Figures
from bench.scale.roomy import CONTEXT_LENGTH, roomy
from engine import Engine, SessionId, TurnFigures
from engine.events import Event, Finished, FinishReason, Text
from export.families import read_decoder
from export.sources.directory import open_directory
from export.sources.safetensors import read_safetensors

FIGURES = TurnFigures(
    reused_tokens=0, prefilled_tokens=9, generated_tokens=21, wait_s=0.0, ttft_s=1.0, itl_s=2.0
)
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
        for name, shape in {**synthetic.SHAPES, "qwen3.5-0.8b": QWEN3_5_0_8B}.items()
    }
    assert counts == {
        "llama-2-7b": 6_738_415_616,
        "qwen2.5-0.5b": 494_032_768,
        "qwen3.5-0.8b": 752_393_024,
    }


def test_the_hybrid_shape_is_one_that_is_exported(tmp_path: Path) -> None:
    config = QWEN3_5_0_8B.config()
    assert config["layer_types"].count("linear_attention") == 18
    folder = tmp_path / "tiny"
    folder.mkdir()
    shape = replace(QWEN3_5_0_8B, hidden=64, wide=96, layers=4, heads=2, kv_heads=1, vocab=300)
    settings = {**shape.settings, "layer_types": shape.settings["layer_types"][:4]}
    synthetic.write_checkpoint(folder, replace(shape, settings=settings))
    decoder = read_decoder(open_directory(folder))  # names and shapes fit, or it raises
    assert decoder.spec.recurrent == frozenset({0, 1, 2})


def test_each_byte_is_one_token_and_every_token_can_be_decoded(tmp_path: Path) -> None:
    synthetic.write_tokenizer(tmp_path, TINY.vocab)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert len(tokenizer.encode("Grüße <|im_end|>").ids) == 9
    assert tokenizer.get_vocab_size() == TINY.vocab
    assert tokenizer.decode(tokenizer.encode("Grüße").ids) == "Grüße"


def test_all_sections_run_in_their_order_unless_some_are_named() -> None:
    assert sections.parse([]) == ["history", "batch", "length", "7b"]
    assert sections.parse(["--no-7b"]) == ["history", "batch", "length"]
    assert sections.parse(["--only", "length", "history"]) == ["history", "length"]


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--only", "7b", "--no-7b"]])
def test_a_section_that_is_not_there_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        sections.parse(arguments)


def test_each_section_is_announced_before_it_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def measured(name: str) -> Callable[[Path], dict[str, Any]]:
        def measure(model_dir: Path) -> dict[str, Any]:
            print(f"measuring {name}")
            return {name: str(model_dir)}

        return measure

    names = ("history", "batch")
    monkeypatch.setattr(sections, "SECTIONS", {name: (measured(name), "what") for name in names})
    assert sections.run(tmp_path, []) == dict.fromkeys(names, str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        *("next", "measuring history", "history took 0 s"),
        *("next", "measuring batch", "batch took 0 s"),
    ]


def test_a_roomy_model_has_all_files_and_only_another_context(tmp_path: Path) -> None:
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "openvino_model.xml").write_text("graph", "utf-8")
    config = {"max_position_embeddings": 8192, "hidden_size": 576}
    (model_dir / "config.json").write_text(json.dumps(config), "utf-8")
    with roomy(model_dir) as linked:
        assert linked.name == "model"
        assert (linked / "openvino_model.xml").read_text("utf-8") == "graph"
        changed = json.loads((linked / "config.json").read_text("utf-8"))
    assert changed == {**config, "max_position_embeddings": CONTEXT_LENGTH}
    assert json.loads((model_dir / "config.json").read_text("utf-8")) == config


def test_figures_of_a_large_model_are_printed_and_never_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = Figures()
    figures.add("ttft_s", 1.234)
    assert capsys.readouterr().out == "  ttft_s: 1.23\n"
    with pytest.raises(AssertionError, match="itl_s"):
        figures.add("itl_s", None)
    assert figures == {"ttft_s": 1.23}


class EngineOfKnownSpeed:
    """Two people: one comes late by ten seconds of prefill; a step takes 2 s, its forward 1 s."""

    def __init__(self) -> None:
        self.now = 0.0
        self._forward_s = 0.0
        self._tokens = 0
        self._arrived = 0
        self._met = asyncio.Barrier(2)

    def open_session(self, session_id: SessionId) -> None:
        """Nothing to do."""

    def close_session(self, session_id: SessionId) -> None:
        """Nothing to do."""

    def stats(self) -> SimpleNamespace:
        return SimpleNamespace(
            is_warm=True, tokens_generated=self._tokens, forward_s=self._forward_s
        )

    async def chat(self, *_given: object, **_options: object) -> AsyncIterator[Event]:
        self._arrived += 1
        is_late = self._arrived == 2
        if is_late:
            self.now += 10
            self._forward_s += 10
        yield Text("first ")
        for _ in range(20):
            await self._met.wait()
            self._tokens += 1
            if is_late:  # one of both counts the time of a step
                self.now += 2
                self._forward_s += 1
            await self._met.wait()
            yield Text("more ")
        await self._met.wait()
        yield Finished(FinishReason.LENGTH, FIGURES)


def test_a_step_of_a_crowd_is_measured_while_all_are_writing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def measured() -> tuple[float, float]:
        engine = EngineOfKnownSpeed()
        monkeypatch.setattr("bench.scale.batch.time.perf_counter", lambda: engine.now)
        return await batch.Crowd(cast("Engine", engine), 2).step_s(["a", "b"])

    assert asyncio.run(measured()) == pytest.approx((2.0, 1.0))
