"""NNCF's int4 of an IR, for bench.quality: `compress_nncf.py FROM TO GROUP`, in NNCF's environment.

Asymmetric, all weights but embedding and lm_head (int8, NNCF's default, as in this project), no data:
the same information that this project's own int4 has.
"""

import importlib
import sys
from pathlib import Path


def main(source: Path, target: Path, group_size: int) -> None:
    """Compress and save."""
    nncf, ov = importlib.import_module("nncf"), importlib.import_module("openvino")
    model = ov.Core().read_model(source / "openvino_model.xml")
    mode = nncf.CompressWeightsMode.INT4_ASYM
    compressed = nncf.compress_weights(model, mode=mode, group_size=group_size, ratio=1.0)
    ov.save_model(compressed, target / "openvino_model.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
