"""Searches on a cluster of Dask of three processes, of which one is killed: many side by side, and the images of one. The
same results as alone.

    python crates/python/tests/dask_cluster.py

It needs the packages fixedwise, distributed and onnx, and is no part of `cargo xtask test`.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("FIXEDWISE_ROOT", str(Path(__file__).parents[3]))
# Workers find what their tasks are made of.
os.environ["PYTHONPATH"] = str(Path(__file__).parent)

import onnx
from distributed import Client, LocalCluster
from test_package import images, network, same

import fixedwise as fw

SIZES = {"calibration": 2000, "search": 20000, "test": 5000}


def main() -> None:
    sets = {name: images(seed, n) for seed, (name, n) in enumerate(SIZES.items())}
    jobs = fw.grid(max_loss=["1%", "2%"], strategy=["pareto", "joint", "fixed"])
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        model = Path(folder, "brightest.onnx")
        onnx.save(network(), model)
        shared = {"model": str(model), "threads": 1, **sets}
        alone = fw.sweep_jobs(jobs, **shared)
        one = fw.quantize(str(model), max_loss="1%", threads=1, **sets)
        for executor in (client, client.get_executor()):
            killed = threading.Timer(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, kill_one, [client])
            killed.start()
            start = time.monotonic()
            spread = fw.sweep_jobs(jobs, executor, **shared)
            seconds = time.monotonic() - start
            killed.join()
            for expected, found in zip(alone, spread, strict=True):
                assert found.error is None, found.error
                assert same(expected.result.to_json()) == same(found.result.to_json()), expected.options
                assert expected.result.plan == found.result.plan, expected.options
            killed = threading.Timer(1.0, kill_one, [client])
            killed.start()
            found = fw.quantize(str(model), max_loss="1%", threads=1, executor=executor, **sets)
            killed.join()
            assert found.plan == one.plan
            print(f"{type(executor).__name__}: {len(jobs)} searches in {seconds:.1f} s and one of its own, the same results")


def kill_one(client: Client) -> None:
    """Ends a process as a machine that loses its power does."""
    os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)


if __name__ == "__main__":
    main()
