#!/usr/bin/env bash
# Runs exported models in openvino-genai (paged and SDPA) and in Optimum-Intel's OVModelForCausalLM
# and compares their greedy text with the engine's. Their versions clash with ours and with each
# other, so each gets an environment of its own: about 2.5 GB, made once.
#
#     tests/interop/run.sh [FOLDER]     (default: a temporary folder, removed at the end)
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
if [ $# -gt 0 ]; then
    folder=$1
    mkdir -p "$folder"
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

if [ ! -e "$folder/genai/.ready" ]; then
    python3 -m venv "$folder/genai"
    "$folder/genai/bin/pip" install -q openvino-genai==2026.4.1.0
    touch "$folder/genai/.ready"
fi
if [ ! -e "$folder/optimum/.ready" ]; then
    python3 -m venv "$folder/optimum"
    # torch first, and held, or a requirement takes a CUDA build of several GB.
    echo "torch==2.13.0" > "$folder/constraints.txt"
    "$folder/optimum/bin/pip" install -q torch==2.13.0
    "$folder/optimum/bin/pip" install -q -c "$folder/constraints.txt" optimum-intel==2.2.0 openvino==2026.4.1
    # It is not needed, and fails to import beside another build of torch.
    "$folder/optimum/bin/pip" uninstall -q -y torchvision 2>/dev/null || true
    touch "$folder/optimum/.ready"
fi

"$python" -m tests.interop.prepare "$folder/models"
status=0
for runtime in here genai optimum; do
    case $runtime in here) bin=$python ;; *) bin=$folder/$runtime/bin/python ;; esac
    "$bin" tests/interop/compare.py "$runtime" "$folder/models" || status=1
done
[ $status = 0 ] && echo "Every runtime says the same." || echo "Something differs; see above."
exit $status
