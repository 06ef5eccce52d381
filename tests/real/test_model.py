"""The paged model against the same IR run in OpenVINO's ordinary stateful way, at f32."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest

from engine.errors import ConfigError, ModelNotFound, ModelUnsupported
from engine.model.batch import build_inputs
from engine.model.kv_cache import KVCache
from engine.model.model import CompileOptions, Model
from engine.scheduling.block_pool import BlockPool
from engine.scheduling.scheduler import Scheduler
from engine.scheduling.sequence import Sequence
from engine.scheduling.token_budget import TokenBudget
from export import export_model
from tests.real.cpu import computes_in_bf16

Logits = npt.NDArray[np.float32]

TOKENS = [int(t) for t in np.random.default_rng(7).integers(20, 40_000, 150)]
PIECES = (3, 40, 1, 70, 1, 1, 34)  # uneven turns that cross block borders


class Paged:
    """A paged model with a pool, fed piece by piece."""

    def __init__(self, model_dir: Path, kv_precision: str = "f32", precision: str = "f32") -> None:
        options = CompileOptions(
            device="CPU", num_threads=2, kv_precision=kv_precision, precision=precision
        )
        self.model = Model(model_dir, options)
        self.kv_cache = KVCache(self.model.kv_ports, 32)
        self.model.bind(self.kv_cache)
        self.pool = BlockPool(32, self.model.block_size)
        self.scheduler = Scheduler(
            self.pool,
            budget=TokenBudget(64, 64, self.model.block_size),
            max_num_sequences=4,
            reclaim=lambda _count: None,
        )

    def feed(self, sequence: Sequence, tokens: list[int]) -> Logits:
        """Append tokens, compute them, and return the logits [vocab] behind the last."""
        sequence.tokens += tokens
        self.scheduler.add(sequence)
        while True:
            batch = self.scheduler.schedule()
            assert batch is not None
            logits = self.model.forward(build_inputs(batch))
            self.scheduler.commit(batch)
            if len(logits):
                self.scheduler.remove(sequence)
                last: Logits = logits[0].copy()
                return last


def stateful_logits(model_dir: Path, tokens: list[int]) -> Logits:
    """Logits [tokens, vocab] from one plain stateful forward over everything."""
    properties = {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    }
    compiled = ov.Core().compile_model(model_dir / "openvino_model.xml", "CPU", properties)
    ids = np.array([tokens], np.int64)
    inputs = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "position_ids": np.arange(len(tokens))[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    logits: Logits = compiled.create_infer_request().infer(inputs)[0][0]
    return logits


@pytest.fixture(scope="module")
def paged(smollm2_dir: Path) -> Paged:
    return Paged(smollm2_dir)


@pytest.fixture(scope="module")
def expected(smollm2_dir: Path) -> Logits:
    return stateful_logits(smollm2_dir, TOKENS)


def test_turn_by_turn_equals_one_forward_over_everything(paged: Paged, expected: Logits) -> None:
    sequence, end = Sequence(), 0
    for count in PIECES:
        logits = paged.feed(sequence, TOKENS[end : end + count])
        end += count
        np.testing.assert_allclose(logits, expected[end - 1], atol=2e-3)
    sequence.truncate(0, paged.pool)


def test_going_on_after_a_truncation_equals_never_having_gone_elsewhere(
    paged: Paged, expected: Logits
) -> None:
    sequence = Sequence()
    paged.feed(sequence, TOKENS[:50])
    paged.feed(sequence, [11, 12, 13] * 20)
    sequence.truncate(50, paged.pool)
    logits = paged.feed(sequence, TOKENS[50:100])
    np.testing.assert_allclose(logits, expected[99], atol=2e-3)
    sequence.truncate(0, paged.pool)


def test_a_fork_in_mid_block_leaves_the_original_alone(paged: Paged, expected: Logits) -> None:
    original = Sequence()
    paged.feed(original, TOKENS[:50])
    paged.pool.share(original.block_table)
    fork = Sequence(list(original.tokens), list(original.block_table), 50)
    fork.tokens += [5] * 20
    paged.scheduler.add(fork)
    batch = paged.scheduler.schedule()
    assert batch is not None
    assert batch.copies, "the shared partial block is copied before it is written to"
    for source, target in batch.copies:
        paged.kv_cache.copy_block(source, target)
    paged.model.forward(build_inputs(batch))
    paged.scheduler.commit(batch)
    paged.scheduler.remove(fork)
    logits = paged.feed(original, TOKENS[50:100])
    np.testing.assert_allclose(logits, expected[99], atol=2e-3)
    for sequence in (original, fork):
        sequence.truncate(0, paged.pool)
    paged.pool.check_integrity([])


@pytest.mark.parametrize("kv_precision", ["u8", "f16", "bf16"])
def test_each_kv_precision_stays_close_to_f32(
    smollm2_dir: Path, expected: Logits, kv_precision: str
) -> None:
    if kv_precision == "bf16" and not computes_in_bf16():
        pytest.skip("this CPU has no bf16; what is said then, another test sees")
    logits = Paged(smollm2_dir, kv_precision).feed(Sequence(), TOKENS)
    assert _kl(expected[-1], logits) < 5e-3


@pytest.fixture
def no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a CPU without bf16, where OpenVINO computes in f32 unless it is told otherwise."""

    def core() -> ov.Core:
        made = whole()
        made.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return made

    whole = ov.Core
    monkeypatch.setattr(ov, "Core", core)


@pytest.mark.usefixtures("no_bf16")
@pytest.mark.parametrize("precision", ["auto", "f32"])
def test_kv_in_bf16_is_refused_with_what_to_choose_where_the_cpu_has_none(
    smollm2_dir: Path, precision: str
) -> None:
    with pytest.raises(ConfigError, match=r"bf16.* choose one of u8, f16, f32\."):
        Paged(smollm2_dir, "bf16", precision)


@pytest.mark.usefixtures("no_bf16")
@pytest.mark.parametrize("kv_precision", ["u8", "f16", "f32"])
def test_what_to_choose_instead_is_taken_there(
    smollm2_dir: Path, expected: Logits, kv_precision: str
) -> None:
    logits = Paged(smollm2_dir, kv_precision, "auto").feed(Sequence(), TOKENS)
    # One position; int8 products take 0.006 of it.
    assert _kl(expected[-1], logits) < 5e-2


def test_an_explicit_past_present_ir_gives_the_same_logits(
    smollm2_dir: Path, expected: Logits, tmp_path: Path
) -> None:
    explicit = export_model("smollm2-135m-instruct", tmp_path / "explicit", kv="explicit")
    inputs = {p.any_name for p in ov.Core().read_model(explicit / "openvino_model.xml").inputs}
    assert "past_key_values.0.key" in inputs
    logits = Paged(explicit).feed(Sequence(), TOKENS)
    np.testing.assert_allclose(logits, expected[-1], atol=2e-3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no openvino_model\.xml"):
        Paged(tmp_path)


def test_a_file_that_is_no_ir_is_refused(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").write_text("<nothing/>")
    (tmp_path / "openvino_model.bin").write_bytes(b"")
    with pytest.raises(ModelUnsupported):
        Paged(tmp_path)


def test_a_device_that_is_not_there_is_named(smollm2_dir: Path) -> None:
    with pytest.raises(ModelUnsupported, match="CPU"):
        Model(smollm2_dir, CompileOptions(device="NPU", num_threads=1, kv_precision="u8"))


def _kl(expected: Logits, found: Logits) -> float:
    p, q = (_log_softmax(logits.astype(np.float64)) for logits in (expected, found))
    return float((np.exp(p) * (p - q)).sum())


def _log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shifted: npt.NDArray[np.float64] = logits - logits.max()
    normalised: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return normalised
