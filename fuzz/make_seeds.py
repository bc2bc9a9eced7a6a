#!/usr/bin/env python3
"""Writes networks of every operator into a folder: the cases of `suite/`, as seeds of `onnx_import` and `whole_way`.

usage: make_seeds.py FOLDER [--onnx | --tflite]
"""

import pathlib
import sys
import zipfile

# Files that a mutation changes little are of no use to the fuzzer.
LARGEST_BYTES = 1 << 15
SUITE = pathlib.Path(__file__).resolve().parent.parent / "suite"


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    seeds = {}
    if "--tflite" not in sys.argv:
        with zipfile.ZipFile(SUITE / "onnx-node.zip") as cases:
            for name in cases.namelist():
                if name.endswith("/model.onnx"):
                    seeds[name.replace("/model", "")] = cases.read(name)
    if "--onnx" not in sys.argv:
        for path in sorted((SUITE / "tflite").glob("*.tflite")):
            seeds[path.name] = path.read_bytes()
    seeds = {name: data for name, data in seeds.items() if len(data) <= LARGEST_BYTES}
    for name, data in seeds.items():
        (folder / name).write_bytes(data)
    print(f"{len(seeds)} seeds, the largest of {max(map(len, seeds.values()))} bytes")


if __name__ == "__main__":
    main()
