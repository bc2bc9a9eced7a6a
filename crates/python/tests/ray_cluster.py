"""Searches on a cluster of three nodes of Ray, of which one is killed: the same results as alone.

    python crates/python/tests/ray_cluster.py

It needs the packages fixedwise, ray and onnx, and is no part of `cargo xtask test`: Ray takes long to start.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("FIXEDWISE_ROOT", str(Path(__file__).parents[3]))
# Workers find what their tasks are made of.
os.environ["PYTHONPATH"] = str(Path(__file__).parent)

import onnx
import ray
from ray.cluster_utils import Cluster
from test_package import images, network, same

import fixedwise as fw


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
        ray.shutdown()
        cluster.shutdown()
    print(f"{len(jobs)} searches in {seconds:.1f} s, {nodes} of 3 nodes left, all results the same")


if __name__ == "__main__":
    main()
