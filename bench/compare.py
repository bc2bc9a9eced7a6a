"""Sets our images per second beside ONNX Runtime's, and prints the ratios.

    python bench/compare.py BENCH_PROGRAM THREADS MODEL.onnx ...

Called by `bench/run.sh`. Each round measures ONNX Runtime and then both executors; the median of
the rounds' ratios is printed.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

ROUNDS = 3
BOUNDS = {"float": 0.6, "integer8": 1.5}


def lines(command):
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def main():
    bench, threads, *models = sys.argv[1:]
    ort_speed = Path(__file__).with_name("ort_speed.py")
    for model in models:
        rounds = []
        for _ in range(ROUNDS):
            ort = lines([sys.executable, ort_speed, model, "--threads", threads])[0]
            ours = lines([bench, model, threads, "best"])
            rounds.append((ort["images_per_second"], ours))
        print(f"{Path(model).stem}, {threads} threads")
        base = median(ort for ort, _ in rounds)
        print(f"  {'ONNX Runtime fp32':22} {base:9,.0f} images/s   1.00")
        for i, ours in enumerate(rounds[0][1]):
            what = ours["what"]
            rate = median(r[1][i]["images_per_second"] for r in rounds)
            ratio = median(r[1][i]["images_per_second"] / r[0] for r in rounds)
            bound = f"   (at least {BOUNDS[what]})" if what in BOUNDS else ""
            name = f"{what} {ours['kernels']}"
            print(f"  {name:22} {rate:9,.0f} images/s  {ratio:5.2f}{bound}")


if __name__ == "__main__":
    main()
