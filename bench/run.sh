#!/usr/bin/env bash
# Images per second of both executors beside ONNX Runtime's fp32, on one model in one run, and
# their ratios.
#
#     bench/run.sh [MODEL.onnx ...] [--threads N]
#
# Without a model: the networks in models/, and the paper's large network where it stands beside
# the checkout. Absolute figures depend on the machine and on what else it does; the ratios are
# taken side by side, three times in turn, and their median counts.
set -euo pipefail
cd "$(dirname "$0")/.."
threads=2
models=()
while [ $# -gt 0 ]; do
    case $1 in
        --threads) threads=$2; shift 2 ;;
        *) models+=("$1"); shift ;;
    esac
done
if [ ${#models[@]} -eq 0 ]; then
    models=(models/*.onnx)
    large="${FIXEDWISE_SHARED:-../shared}"/seed/models/seq_large_fashion.onnx
    if [ -f "$large" ]; then models+=("$large"); else echo "SKIPPED: there is no $large"; fi
fi
cargo build --quiet --release --package fixedwise-bench
python=$(cargo xtask python)
bench="${CARGO_TARGET_DIR:-target}"/release/fixedwise-bench
exec "$python" bench/compare.py "$bench" "$threads" "${models[@]}"
