"""One tiny checkpoint with its IR and torch's logits; run by the environment that has Optimum-Intel.

    bench/envs/optimum/bin/python -m tests.interop.make OUT NAME

OUT/NAME/checkpoint: what transformers saved. OUT/NAME/ir: what Optimum-Intel exported, stateful, float32.
OUT/NAME/reference.npz: tokens [n] int64, and for the given rows logits [rows, vocab] float32 of torch.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from optimum.exporters.openvino import main_export
from transformers import AutoConfig, AutoModelForCausalLM

from tests.interop.architectures import ARCHITECTURES, COMMON

NUM_TOKENS, ROWS = 320, (0, 12, 63, 64, 150, 299, 319)


def main() -> None:
    """Make the one that is named."""
    out, name = Path(sys.argv[1]), sys.argv[2]
    folder = out / name
    model_type, changes = ARCHITECTURES[name]
    config = AutoConfig.for_model(model_type, **{**COMMON, **changes})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    _enliven(model)
    model.save_pretrained(folder / "checkpoint")
    tokens = np.random.default_rng(5).integers(20, 40_000, NUM_TOKENS)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens)[None]).logits[0].float().numpy()
    rows = list(ROWS)
    np.savez(folder / "reference.npz", tokens=tokens, rows=np.array(rows), logits=logits[rows])
    main_export(
        str(folder / "checkpoint"),
        output=folder / "ir",
        task="text-generation-with-past",
        stateful=True,
        convert_tokenizer=False,
        compression_option="fp32",
    )


def _enliven(model: torch.nn.Module) -> None:
    """Weights so large that layers matter, of which float16 and bfloat16 hold each exactly."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                wide = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5 * 1.5
                parameter.copy_(wide.to(torch.float8_e4m3fn).float())


if __name__ == "__main__":
    main()
