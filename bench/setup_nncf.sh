#!/usr/bin/env bash
# Makes bench/envs/nncf, the environment in which `python -m bench quality` runs NNCF (about 1 GB); its
# requirements clash with ours.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv bench/envs/nncf
bench/envs/nncf/bin/pip install -q nncf==3.4.0 openvino==2026.4.1
