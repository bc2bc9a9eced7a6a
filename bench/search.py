"""What the default search reaches on the paper's networks, on images that no decision saw.

    cargo build --release && python3 bench/search.py --models DIR --data DIR [--objective memory]
    python3 bench/search.py --models models --data DIR --networks fashion_resnet8,fashion_gated

DIR of models holds the networks as ONNX (seq_small_mnist.onnx, ...), DIR of data mnist.npz and
fashion_mnist.npz. A TOML file beside a network, as the zoo writes it, says what pixels mean. The calibration
images are of the train split, without labels; the test split is divided
by seed into a half that is searched on and a half that is only reported. Prints a table, one network a row,
and the means; runs and their results stay in target/bench-search.
"""

import argparse
import json
import pathlib
import subprocess
import sys

NETWORKS = [f"{size}_{data}" for size in ("seq_small", "seq_large", "inception") for data in ("mnist", "fashion")]
ROOT = pathlib.Path(__file__).resolve().parent.parent


def images_of(data, network):
    """The file of a network's images."""
    return data / ("fashion_mnist.npz" if "fashion" in network else "mnist.npz")


def preprocessing(models, network):
    """What pixels mean to a network, unless a TOML file beside it says so."""
    if (models / f"{network}.toml").exists():
        return []
    return ["--preprocess", "scale=1/255" + (",resize=96x96" if network.startswith("inception") else "")]


def run(tool, models, data, network, arguments):
    """The result of one search, as result.json has it."""
    images = images_of(data, network)
    name = "-".join([network, *(a.strip("-") for a in arguments)])
    folder = ROOT / "target" / "bench-search" / name
    command = [tool, "quantize", models / f"{network}.onnx", "--data", images, *preprocessing(models, network)]
    command += ["-o", folder, "--quiet", *arguments]
    code = subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL).returncode
    if code not in (0, 2):
        sys.exit(f"{network}: the search failed")
    return json.loads((folder / "result.json").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--tool", type=pathlib.Path, default=ROOT / "target" / "release" / "fixedwise")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--objective", default="memory")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--strategy", default="pareto")
    parser.add_argument("--confidence", help="0.95: the bound on unseen images, every look counted")
    parser.add_argument("--tune", default="none", help="as of `quantize`: auto, a time or steps")
    options = parser.parse_args()
    arguments = ["--strategy", options.strategy, "--objective", options.objective, "--seed", options.seed]
    arguments += ["--tune", options.tune] if options.tune != "none" else []
    arguments += ["--confidence", options.confidence] if options.confidence else []
    print("| network | memory saved % | bit products saved % | loss %, searched | loss %, unseen | images run | s |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for network in options.networks.split(","):
        result = run(options.tool, options.models, options.data, network, arguments)
        accuracy = result["accuracy"]
        rows.append(
            [
                100 * result["memory_bits"]["reduction"],
                100 * result["multiplication_cost"]["operand_reduction"],
                100 * accuracy["search"]["relative_loss"],
                100 * accuracy["test"]["relative_loss"],
                result["images_evaluated"],
                result["seconds"],
            ]
        )
        print(f"| {network} | " + " | ".join(text(rows[-1])) + " |", flush=True)
    means = [sum(column) / len(rows) for column in zip(*rows)]
    print("| mean | " + " | ".join(text(means)) + " |")


def text(row):
    return [f"{x:.2f}" for x in row[:4]] + [f"{row[4]:,.0f}", f"{row[5]:.0f}"]


if __name__ == "__main__":
    main()
