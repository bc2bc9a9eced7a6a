"""Reference outputs by ONNX Runtime.

    python suite/run_reference.py model MODEL.onnx INPUT.npy OUTPUT.npy
    python suite/run_reference.py light FOLDER
    python suite/run_reference.py archive suite/light.zip

`model` runs a model on float32 images in the model's own axis order, in batches. `light` writes
the `light_*` models of the `onnx` package whose operators are claimed, with input and expected
output. `archive` makes `light.zip`.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx

import cases
import light


def run_model(model, images, batch, threads):
    """The model's output for all images, batch by batch."""
    # A network whose batch is fixed gets batches of that size.
    loaded = onnx.load(model)
    constants = {i.name for i in loaded.graph.initializer}
    (value,) = [i for i in loaded.graph.input if i.name not in constants]
    batch = value.type.tensor_type.shape.dim[0].dim_value or batch
    run = cases.open_model(model.read_bytes(), threads)
    return np.concatenate([run(images[i : i + batch]) for i in range(0, len(images), batch)])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("model")
    command.add_argument("model", type=Path)
    command.add_argument("input", type=Path)
    command.add_argument("output", type=Path)
    command.add_argument("--batch", type=int, default=500)
    command.add_argument("--threads", type=int, default=1)
    command = commands.add_parser("light")
    command.add_argument("folder", type=Path)
    command = commands.add_parser("archive")
    command.add_argument("file", type=Path)
    args = parser.parse_args()
    if args.command == "model":
        images = np.load(args.input).astype(np.float32, copy=False)
        output = run_model(args.model, images, args.batch, args.threads)
        np.save(args.output, output)
        print(f"{output.shape[0]} outputs of {output.shape[1:]}")
    elif args.command == "light":
        light.write(args.folder)
    else:
        cases.write_zip(args.file, light.archive_files())


if __name__ == "__main__":
    main()
