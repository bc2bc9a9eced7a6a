"""Searches on a cluster of three nodes of Ray, of which one is killed: many side by side, and the images of one. The same
results as alone.

    python crates/python/tests/ray_cluster.py

It needs the packages fixedwise, ray and onnx, and is no part of `cargo xtask test`: Ray takes long to start.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from unittest import mock

os.environ.setdefault("FIXEDWISE_ROOT", str(Path(__file__).parents[3]))
# Workers find what their tasks are made of.
os.environ["PYTHONPATH"] = str(Path(__file__).parent)

import numpy as np
import onnx
import ray
from ray.cluster_utils import Cluster
from test_package import images, network, same

import fixedwise as fw
from fixedwise import _spread


SIZES = {"calibration": 2000, "search": 40000, "test": 10000}


def main() -> None:
    sets = {name: images(seed, 2000) for seed, name in enumerate(("calibration", "search", "test"))}
    jobs = fw.grid(max_loss=["1%", "2%"], strategy=["pareto", "joint", "fixed"])
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "brightest.onnx")
        onnx.save(network(), model)
        shared = {"model": str(model), "threads": 1, **sets}
        alone = fw.sweep_jobs(jobs, **shared)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        others = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        start = time.monotonic()
        lost = threading.Timer(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, cluster.remove_node, [others[0], False])
        lost.start()
        spread = fw.sweep_jobs(jobs, fw.RayExecutor(), **shared)
        lost.join()
        seconds = time.monotonic() - start
        # The cluster takes a while to notice.
        while (nodes := sum(node["Alive"] for node in ray.nodes())) == 3:
            time.sleep(0.5)
        for one, other in zip(alone, spread, strict=True):
            assert other.error is None, other.error
            assert same(one.result.to_json()) == same(other.result.to_json()), one.options
            assert one.result.plan == other.result.plan, one.options
        failed = fw.sweep_jobs([{"max_loss": "1"}], fw.RayExecutor(), **shared)
        assert isinstance(failed[0].error, fw.OptionError), failed[0].error
        told = [f"{len(jobs)} searches in {seconds:.1f} s, {nodes} of 3 nodes left"]
        told.append(one_search(cluster, others[1]))
        told.append(a_command(cluster, Path(folder), sets))
        ray.shutdown()
        cluster.shutdown()
    print(", all results the same\n".join([*told, ""]), end="")


def one_search(cluster: Cluster, lost: object) -> str:
    """A network and images in memory, of which nodes measure the images; one is killed while the search goes on."""
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    sets = {name: images(seed, n) for seed, (name, n) in enumerate(SIZES.items())}
    asked = {"max_loss": "1%", "threads": 1, **sets}
    alone = fw.quantize(network(), **asked)
    events: list[float] = []

    def heard(event: dict) -> None:
        if "loss" in event:
            events.append(time.monotonic())
            if len(events) == 2:
                cluster.remove_node(lost, False)

    answers: list[tuple[int, float]] = []
    usual = _spread.RayNodes._answered

    def answered(self: _spread.RayNodes, number: int) -> None:
        answers.append((self._asked[number], time.monotonic()))
        usual(self, number)

    start = time.monotonic()
    with mock.patch.object(_spread.RayNodes, "_answered", answered):
        spread = fw.quantize(network(), **asked, executor=fw.RayExecutor(), on_progress=heard)
    seconds = time.monotonic() - start
    assert same(alone.to_json()) == same(spread.to_json())
    assert alone.plan == spread.plan
    after = [node for node, when in answers if when > events[1]]
    before = [node for node, when in answers if when <= events[1]]
    assert len(set(before)) == 3, before
    assert after, "nodes went on"
    return f"one search in {seconds:.1f} s, {len(before)} answers of 3 nodes before one was killed, {len(after)} after"


def a_command(cluster: Cluster, folder: Path, sets: dict) -> str:
    """The command, with files."""
    for name, (x, y) in sets.items():
        np.savez(folder / f"{name}.npz", x=x, y=y)
    words = [sys.executable, "-m", "fixedwise", "quantize", folder / "brightest.onnx", "--threads=1"]
    words += [f"--{name}={folder / name}.npz" for name in sets]
    start = time.monotonic()
    for more in (["--out", folder / "alone"], ["--out", folder / "spread", "--ray", cluster.address]):
        subprocess.run([*map(str, words), *map(str, more)], check=True, capture_output=True)
    for file in ("plan.toml", "plan.npz"):
        assert (folder / "alone" / file).read_bytes() == (folder / "spread" / file).read_bytes(), file
    return f"the command alone and with --ray in {time.monotonic() - start:.1f} s"


if __name__ == "__main__":
    main()
