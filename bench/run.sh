#!/usr/bin/env bash
# Images per second of both executors beside ONNX Runtime's fp32, on one model in one run, and
# their ratios.
#
#     bench/run.sh [MODEL.onnx ...] [--threads N] [--int8] [--mobile PYTHON] [--layers]
#
# Without a model: the networks in models/, and the paper's large network where it stands beside
# the checkout. With --mobile: MobileNetV1, V2 and V3 and ResNet-8, which PYTHON, with the packages
# of bench/requirements-census.txt, makes once in target/networks; and --int8. With --int8 the
# second column of ratios is to the fastest of ONNX Runtime's int8 forms. With --layers: the time of
# each kind of layer beside what the instructions allow.
#
# Absolute figures depend on the machine and on what else it does; the ratios are taken side by
# side, five times in turn, and their median counts.
set -euo pipefail
cd "$(dirname "$0")/.."
threads=2
models=()
options=()
layers=
while [ $# -gt 0 ]; do
    case $1 in
        --threads) threads=$2; shift 2 ;;
        --int8) options=(--int8); shift ;;
        --layers) layers=1; shift ;;
        --mobile)
            "$2" bench/networks.py target/networks
            models+=(target/networks/*.onnx)
            options=(--int8)
            shift 2 ;;
        *) models+=("$1"); shift ;;
    esac
done
if [ ${#models[@]} -eq 0 ]; then
    models=(models/*.onnx)
    large="${FIXEDWISE_SHARED:-../shared}"/seed/models/seq_large_fashion.onnx
    if [ -f "$large" ]; then models+=("$large"); else echo "SKIPPED: there is no $large"; fi
fi
cargo build --quiet --release --package fixedwise-bench
bench="${CARGO_TARGET_DIR:-target}"/release/fixedwise-bench
if [ -n "$layers" ]; then
    for model in "${models[@]}"; do
        echo "$(basename "$model" .onnx)"
        "$bench" "$model" layers
    done
    exit
fi
python=$(cargo xtask python)
exec "$python" bench/compare.py "$bench" "$threads" "${options[@]}" "${models[@]}"
