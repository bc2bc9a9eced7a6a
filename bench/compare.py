"""Sets our images per second beside ONNX Runtime's, and prints the ratios.

    python bench/compare.py BENCH_PROGRAM THREADS [--int8] MODEL.onnx ...

Called by `bench/run.sh`. Each round measures ONNX Runtime and then our executors; the median of the rounds' ratios is
printed. With `--int8` also ONNX Runtime's fastest int8 form.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import ort_speed

ROUNDS = 5


def ours(bench, model, threads):
    """What of our executors was measured, and its images per second."""
    command = [bench, model, str(threads), "best"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in text.splitlines()]
    return {f"{line['what']} {line['kernels']}": line["images_per_second"] for line in lines}


def compare(bench, model, threads, with_int8):
    """Prints the rates of one model: a column of ratios for each form of ONNX Runtime."""
    peers = ort_speed.sessions(model, threads, with_int8)
    if with_int8:
        name, fastest = max(peers[1:], key=lambda peer: peer[1].rate())
        peers = [peers[0], (f"int8, {name}", fastest)]
    rounds = []
    for _ in range(ROUNDS):
        rates = {f"ONNX Runtime {name}": session.rate() for name, session in peers}
        rounds.append(rates | ours(bench, model, threads))
    bases = list(rounds[0])[: len(peers)]
    print(f"{Path(model).stem}, {threads} threads")
    for what in rounds[0]:
        ratios = [median(one[what] / one[base] for one in rounds) for base in bases]
        rate = median(one[what] for one in rounds)
        print(f"  {what:42} {rate:9,.0f} images/s" + "".join(f"{ratio:7.2f}" for ratio in ratios), flush=True)


def main():
    bench, threads, *models = sys.argv[1:]
    with_int8 = "--int8" in models
    for model in models:
        if model != "--int8":
            compare(bench, model, int(threads), with_int8)


if __name__ == "__main__":
    main()
