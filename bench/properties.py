"""`python -m bench.properties [--model DIR]`: what each OpenVINO property does to a decode step.

Every variant is compiled from the same model; each round runs one step of each, so that what else
the machine does falls on all of them. Figures are ratios to the engine's own properties: of the
fastest steps, and the median of the pairs of a round.
"""

import argparse
import json
from pathlib import Path
from statistics import median

from bench.bare import BareModel

Changes = dict[str, str]

CONTEXT = 150
ROUNDS = 40
BATCHES = (1, 16)
VARIANTS: dict[str, Changes] = {
    "engine's": {},
    "the same again": {},
    "precision f32": {"precision": "f32"},
    "precision f32, KV f32": {"precision": "f32", "kv_precision": "f32"},
    "KV bf16": {"kv_precision": "bf16"},
    "keys by channel": {"KEY_CACHE_QUANT_MODE": "BY_CHANNEL"},
    "f32 with int8 products": {"INFERENCE_PRECISION_HINT": "f32"},
    "bf16 without int8 products": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"},
    "activations in groups of 32": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "32"},
    "1 thread": {"INFERENCE_NUM_THREADS": "1"},
    "pinned": {"ENABLE_CPU_PINNING": "YES"},
    "hyper-threading off": {"ENABLE_HYPER_THREADING": "NO"},
    "P-cores only": {"SCHEDULING_CORE_TYPE": "PCORE_ONLY"},
    "throughput hint": {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": "1"},
    "partitioner by size": {"TBB_PARTITIONER": "AUTO"},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path("data/models/smollm2-135m-instruct")
    parser.add_argument("--model", type=Path, default=default, help="model directory")
    path = parser.parse_args().model
    models = {name: BareModel(path, **changes) for name, changes in VARIANTS.items()}
    print(json.dumps({str(batch): _compare(models, batch) for batch in BATCHES}))


def _compare(models: dict[str, BareModel], batch: int) -> dict[str, list[float]]:
    """[ratio of the fastest steps, median ratio] of each variant."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        model.prepare([CONTEXT] * batch)
    for _ in range(ROUNDS):
        for name, model in models.items():
            model.step()  # brings the model's weights back into the caches
            times[name].append(model.step())
    base = times["engine's"]
    print(f"batch {batch}: fastest {1e3 * min(base):.2f} ms, median {1e3 * median(base):.2f} ms")
    ratios = {}
    for name, steps in times.items():
        pairs = median(step / first for step, first in zip(steps, base, strict=True))
        ratios[name] = [round(min(steps) / min(base), 3), round(pairs, 3)]
        print(f"  {name:28} {ratios[name][0]:>6.3f} {ratios[name][1]:>6.3f}", flush=True)
    return ratios


if __name__ == "__main__":
    main()
