"""The package as it is installed: the same as the command, from arrays, in Python's ways."""

import contextlib
import json
import multiprocessing
import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import types
import unittest
import warnings
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import fixedwise as fw
from fixedwise import _functions, _spread

ROOT = Path(os.environ["FIXEDWISE_ROOT"])
COMMAND = Path(sysconfig.get_path("scripts"), "fixedwise")


def network() -> onnx.ModelProto:
    """A network that names the brightest quadrant of a 4x4 image."""
    floats = [
        ("kernel", np.full((1, 1, 2, 2), 0.25)),
        ("dense", np.eye(4) + 0.01 * np.arange(16).reshape(4, 4)),
        ("offset", np.linspace(-0.01, 0.01, 4)),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["a"], "sums", strides=[2, 2], kernel_shape=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Flatten", ["b"], ["c"], "flat", axis=1),
        helper.make_node("Gemm", ["c", "dense", "offset"], ["d"], "classes"),
    ]
    graph = helper.make_graph(
        nodes,
        "brightest",
        [helper.make_tensor_value_info("image", 1, ["n", 1, 4, 4])],
        [helper.make_tensor_value_info("d", 1, ["n", 4])],
        [numpy_helper.from_array(x.astype(np.float32), name) for name, x in floats],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model


def images(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 4x4 bytes, and their brightest quadrants."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 120, (n, 1, 4, 4), np.uint8)
    y = random.integers(0, 4, n)
    for image, label in zip(x, y):
        top, left = 2 * (label // 2), 2 * (label % 2)
        image[0, top : top + 2, left : left + 2] += 60
    return x, y


def same(text: str) -> dict:
    """A result without what differs from run to run."""
    return {
        key: value
        for key, value in json.loads(text).items()
        if key not in ("seconds", "command", "model", "trace")
    }


# Ray's interface as far as it is used: tasks run when their results are asked for.
RAY = """
import os
from types import SimpleNamespace

class RayTaskError(Exception):
    pass

exceptions = SimpleNamespace(RayTaskError=RayTaskError)

def is_initialized():
    return False

def init(address=None, log_to_driver=True):
    if address != "auto":
        raise ConnectionError("nobody answers")

def remote(**options):
    def of(function):
        def task(version, *values):
            return lambda: function(os.environ.get("STAND_IN_VERSION", version), *values)
        return SimpleNamespace(remote=task)
    return of

def put(value):
    return value

def get(task):
    try:
        return task()
    except Exception as cause:
        error = RayTaskError()
        error.cause = cause
        raise error

def cancel(task):
    pass
"""


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        cls.file = cls.path / "brightest.onnx"
        onnx.save(network(), cls.file)
        cls.sets = {
            name: images(seed, n)
            for seed, (name, n) in enumerate([("calibration", 60), ("search", 200), ("test", 150)])
        }
        for name, (x, y) in cls.sets.items():
            np.savez(cls.path / f"{name}.npz", x=x, y=y)
        cls.result = fw.quantize(cls.file, **cls.sets, max_loss="2%")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def command(self, *words: object, code: int = 0) -> str:
        """What the installed command prints."""
        done = subprocess.run(
            [COMMAND, *map(str, words)], cwd=self.path, capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_the_command_comes_with_the_wheel(self) -> None:
        self.assertIn("quantize", self.command("--help"))
        self.assertEqual(self.command("--version").split(), ["fixedwise", fw.__version__])
        self.assertIn("error: ", self.command("quantize", "--max-loss", "1", code=1))
        module = [sys.executable, "-m", "fixedwise", "--version"]
        self.assertIn("fixedwise", subprocess.run(module, capture_output=True, text=True).stdout)

    def test_stubs_are_those_of_the_module(self) -> None:
        sys.path.insert(0, str(ROOT / "crates/python"))
        import ast

        import stubs

        package = Path(fw.__file__).parent
        self.assertTrue((package / "py.typed").exists())
        stub = (package / "_functions.pyi").read_text(encoding="utf-8")
        self.assertEqual(stub, stubs.text(), "run `cargo xtask wheel --stubs`")
        tree = ast.parse((package / "_fixedwise.pyi").read_text(encoding="utf-8"))
        native = {name for name in dir(fw._fixedwise) if not name.startswith("__")}
        known = {one.name for one in tree.body if isinstance(one, (ast.FunctionDef, ast.ClassDef))}
        self.assertEqual(known, native - {"_fixedwise"})
        for one in tree.body:
            if isinstance(one, ast.FunctionDef):
                text = getattr(fw._fixedwise, one.name).__text_signature__
                names = [part.strip().split("=")[0] for part in text.strip("()").split(",")]
                self.assertEqual([arg.arg for arg in one.args.args], [n for n in names if n], one.name)
            elif isinstance(one, ast.ClassDef):
                names = {part.name for part in one.body if isinstance(part, ast.FunctionDef)}
                own = {name for name in dir(getattr(fw._fixedwise, one.name)) if not name.startswith("_")}
                self.assertEqual(names - {"__new__"}, own)

    def test_every_command_is_a_function(self) -> None:
        for command in fw._fixedwise.commands():
            self.assertTrue(callable(getattr(fw, command["words"][0].replace("-", "_"))), command["words"])
        self.assertIn("max_loss: ", fw.quantize.__doc__)

    def test_quantize_is_the_command_bit_for_bit(self) -> None:
        sets = [f"--{name}={name}.npz" for name in self.sets]
        text = self.command("quantize", self.file, *sets, "--max-loss=2%", "--json", "-o", "out")
        self.assertEqual(same(self.result.to_json()), same(text))
        saved = self.path / "saved"
        self.result.save(saved)
        for name in ("plan.toml", "plan.npz"):
            expected = (self.path / "out" / name).read_bytes()
            self.assertEqual((saved / name).read_bytes(), expected, name)
        again = fw.quantize(self.file, **{name: f"{self.path / name}.npz" for name in self.sets}, max_loss="2%")
        self.assertEqual(same(again.to_json()), same(text))
        # Paths alone can be asked for again; arrays cannot.
        self.assertIn("--max-loss=2%", again.command)
        self.assertNotIn("command", self.result)

    def test_a_network_computes_the_integers_of_its_export(self) -> None:
        net = self.result.network()
        x = self.sets["test"][0]
        got = net(x)
        self.assertEqual((got.dtype, got.shape), (np.int32, (150, 4)))
        exported = self.result.export("onnx", self.path / "small.onnx")
        self.assertEqual(exported.files, [str(self.path / "small.onnx")])
        session = onnxruntime.InferenceSession(exported.files[0])
        (node,) = session.get_inputs()
        feed = x if node.type == "tensor(uint8)" else x.astype(np.float32)
        expected = np.concatenate([session.run(None, {node.name: one[None]})[0] for one in feed])
        np.testing.assert_array_equal(net.dequantize(got), expected)
        share = np.mean(got.argmax(1) == self.sets["test"][1])
        self.assertEqual(share, self.result.accuracy.test.fixed)
        self.assertEqual(net.inputs[0].dtype, "uint8")
        with self.assertRaisesRegex(fw.DataError, "takes 8-bit integers"):
            net(x.astype(np.float32))

    def test_a_plan_is_measured_and_changed(self) -> None:
        out = self.path / "measured"
        self.result.save(out)
        measured = fw.evaluate(self.file, self.result.plan, test=self.sets["test"])
        text = self.command("evaluate", self.file, "--plan", out / "plan.toml", "--test", "test.npz", "--json")
        self.assertEqual(same(measured.to_json()), same(text))
        plan = self.result.plan.copy()
        layer = plan["classes"]
        before = (layer.weights.bits, layer.weights.frac)
        layer.weights.bits = 8
        self.assertEqual((layer.weights.bits, layer.weights.frac), (8, before[1] + 8 - before[0]))
        self.assertTrue(plan.is_edited and not self.result.plan.is_edited)
        changed = fw.evaluate(self.file, plan, test=self.sets["test"])
        weights = next(one for one in changed.layers if one.name == "classes").weights
        self.assertEqual(weights.bits, 8)
        rounded = fw.refit(self.file, plan)
        self.assertEqual(rounded.plan["classes"].weights.bits, 8)
        self.assertFalse(rounded.plan.is_edited)
        # What is exported and run of the edited plan are these integers.
        x = self.sets["test"][0]
        np.testing.assert_array_equal(fw.network(self.file, plan)(x), fw.network(self.file, rounded.plan)(x))
        for name, one in (("edited", plan), ("rounded", rounded.plan)):
            fw.export("npz", self.file, one, self.path / f"{name}.npz")
        with np.load(self.path / "edited.npz") as edited, np.load(self.path / "rounded.npz") as own:
            self.assertEqual(edited.files, own.files)
            for name in own.files:
                np.testing.assert_array_equal(edited[name], own[name])
        with self.assertRaisesRegex(fw.OptionError, "call `refit` with the images"):
            fw.export("npz", self.file, pickle.loads(pickle.dumps(plan)), self.path / "edited.npz")
        with self.assertRaisesRegex(KeyError, "no layer `nothing`; it has sums"):
            plan["nothing"]
        with self.assertRaises(AttributeError):
            layer.weights.width = 3

    def test_awkward_arrays_are_the_same_images(self) -> None:
        expected = same(self.result.to_json())
        wide = {}
        for name, (x, y) in self.sets.items():
            strided = np.zeros((len(x), 1, 4, 8), np.uint8)
            strided[..., ::2] = x
            frozen = x.copy()
            frozen.flags.writeable = False
            wide[name] = {
                "fortran": (np.asfortranarray(x), y.astype(np.int32)),
                "strided": (strided[..., ::2], y.astype(np.uint8)),
                "read-only": (frozen, y.tolist()),
                "integers": (x.astype(np.int64), y.astype(np.uint16)),
                "other order of bytes": (x.astype(">i2"), y.astype(">i8")),
                "lists": (x.tolist(), y.tolist()),
                "channels last": (x.transpose(0, 2, 3, 1), y[:, None]),
                "batches": [(x[i : i + 32], y[i : i + 32]) for i in range(0, len(x), 32)],
            }
        for kind in wide["search"]:
            with self.subTest(kind):
                sets = {name: kinds[kind] for name, kinds in wide.items()}
                got = fw.quantize(network(), **sets, max_loss="2%", strategy="fixed")
                want = fw.quantize(self.file, **self.sets, max_loss="2%", strategy="fixed")
                self.assertEqual(same(got.to_json()), same(want.to_json()))
        generator = ((x[None], y[None]) for x, y in zip(*self.sets["search"]))
        sets = {**self.sets, "search": generator}
        got = fw.quantize(network(), **sets, max_loss="2%")
        self.assertEqual(same(got.to_json()), expected)
        self.assertEqual(got.model.name, "brightest.onnx")

    def test_floats_of_any_width_are_one_set(self) -> None:
        floats = {name: (x / np.float64(256), y) for name, (x, y) in self.sets.items()}
        double = fw.quantize(self.file, **floats, strategy="fixed")
        single = {name: (x.astype(np.float32), y) for name, (x, y) in floats.items()}
        self.assertEqual(same(double.to_json()), same(fw.quantize(self.file, **single, strategy="fixed").to_json()))

    def test_arrays_are_not_copied(self) -> None:
        x = np.zeros((4_000_000, 1, 4, 4), np.uint8)
        x[...] = 7
        fw.inspect(self.file, data=x[:10])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = fw.inspect(self.file, data=x)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.assertLess(grown * 1024, x.nbytes // 4)
        self.assertEqual(found.images, 2000)

    def test_errors_say_what_and_where(self) -> None:
        model = network()
        model.graph.node[1].op_type = "Erode"
        cases = [
            (fw.ModelError, "Erode", lambda: fw.inspect(model)),
            (fw.FileError, "absent.onnx", lambda: fw.inspect(self.path / "absent.onnx")),
            (fw.ModelError, "type int", lambda: fw.inspect(3)),
            (fw.OptionError, "max-loss", lambda: fw.quantize(self.file, **self.sets, max_loss=0.01)),
            (fw.OptionError, "keep", lambda: fw.quantize(self.file, **self.sets, keep={"nothing": 8})),
            (fw.OptionError, "cortex", lambda: fw.quantize(self.file, **self.sets, target="cortex-m9")),
            (fw.DataError, "images", lambda: fw.quantize(self.file, **{**self.sets, "test": self.sets["search"]})),
            (fw.DataError, "labels", lambda: fw.quantize(self.file, **{**self.sets, "test": (self.sets["test"][0], [1, 2])})),
            (fw.DataError, "outside 0 to 255", lambda: fw.inspect(self.file, data=np.full((2, 4, 4), 300))),
            (fw.DataError, "type <U1", lambda: fw.inspect(self.file, data=np.full((2, 4, 4), "a"))),
            (fw.DataError, "nan", lambda: fw.inspect(self.file, data=np.full((2, 4, 4), np.nan))),
            (fw.PlanError, "no layer `b`", lambda: fw.evaluate(self.file, fw.Plan('schema = 1\nsemantics = "integer"\n[layers.b]\n'), test=self.sets["test"])),
            (fw.ExportError, "not written by fixedwise", lambda: self.result.export("npz", __file__)),
            (fw.OptionError, "no form", lambda: self.result.export("rust", self.path)),
        ]
        for kind, text, call in cases:
            with self.subTest(text):
                with self.assertRaises(kind) as caught:
                    call()
                self.assertIn(text.lower(), str(caught.exception).lower())
                self.assertNotIn(tempfile.gettempdir() + "/fixedwise-", str(caught.exception))
                self.assertIsInstance(pickle.loads(pickle.dumps(caught.exception)), kind)
        with self.assertRaises(fw.FixedwiseError) as caught:
            fw.inspect(model)
        error = caught.exception
        self.assertEqual((error.file, error.node), ("brightest.onnx", "relu"))
        self.assertEqual(error.refusals[0].operator, "Erode")
        self.assertTrue(error.way_out)
        with self.assertRaisesRegex(TypeError, "did you mean `max_loss`"):
            fw.quantize(self.file, max_los="1%")

    def test_batches_that_end_early_are_an_error(self) -> None:
        class Loader:
            def __len__(self) -> int:
                return 3

            def __iter__(self):
                yield np.zeros((2, 4, 4), np.uint8)
                if self.fails:
                    raise RuntimeError("the disk is gone")

        loader = Loader()
        for loader.fails, text in [(False, "ended after 1 of 3"), (True, "after 1 batches of 3: the disk is gone")]:
            with self.assertRaisesRegex(fw.DataError, text):
                fw.inspect(self.file, data=loader)

    def test_results_are_objects(self) -> None:
        result = self.result
        self.assertEqual(result.to_dict()["accuracy"]["test"]["n"], result.accuracy.test.n)
        self.assertIn("Accuracy", repr(result))
        page = result._repr_html_()
        self.assertTrue(page.startswith("<pre>") and "<svg" in page)
        self.assertIn("<th>sums</th>", result.plan._repr_html_())
        copied = pickle.loads(pickle.dumps(result))
        self.assertEqual(copied.to_json(), result.to_json())
        self.assertEqual(copied.plan, result.plan)
        np.testing.assert_array_equal(copied.network()(self.sets["test"][0]), result.network()(self.sets["test"][0]))
        with self.assertRaises(AttributeError):
            result.nothing
        other = fw.quantize(self.file, **self.sets, from_=result, max_loss="1%")
        self.assertLess(other.images_evaluated, result.images_evaluated)
        drawn = fw.plot("front", result, out=self.path / "front.svg")
        self.assertIn("<svg", Path(drawn).read_text())
        swept = fw.sweep(self.file, search=self.sets["search"], tensor="weights", bits=range(3, 5), frac=(range(0, 2)))
        self.assertEqual([layer.name for layer in swept.layers], ["sums", "classes"])
        code = result.export("c", self.path / "c", target="cortex-m4")
        self.assertIn("brightest.c", " ".join(code.files))

    def test_progress_is_told_and_the_lock_is_free(self) -> None:
        events, count, done = [], [0], threading.Event()

        def spin() -> None:
            while not done.wait(0.001):
                count[0] += 1

        thread = threading.Thread(target=spin)
        thread.start()
        fw.quantize(self.file, **self.sets, max_loss="2%", on_progress=events.append)
        done.set()
        thread.join()
        self.assertGreater(count[0], 0)
        self.assertTrue(any("text" in event for event in events))
        self.assertTrue(any(event.get("total") for event in events))

        def fail(event: dict) -> None:
            raise ZeroDivisionError("mine")

        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            fw.quantize(self.file, **self.sets, on_progress=fail)

    def test_an_interrupt_returns_the_best_so_far(self) -> None:
        # What runs in the background of a shell ignores it.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
        sent = []

        def interrupt(event: dict) -> None:
            if "node" in event and not sent:
                sent.append(event)
                signal.raise_signal(signal.SIGINT)

        # A search that is not over before it hears of it.
        data = ROOT / "data/fashion-mnist"
        result = fw.quantize(
            ROOT / "models/fashion_small.onnx",
            calibration=f"{data}:train@0..50",
            search=f"{data}:test@0..200",
            test=f"{data}:test@200..300",
            on_progress=interrupt,
        )
        self.assertTrue(sent)
        self.assertEqual(result.ended, "interrupted")
        self.assertTrue(result.plan["dense_1"].weights.bits)

    def test_many_searches_are_one_table(self) -> None:
        jobs = fw.grid(max_loss=["2%", "4%"], strategy=["pareto", "fixed"]) + [{"max_loss": "1"}]
        shared = {"model": str(self.file), "threads": 1, **self.sets}
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
            table = fw.sweep_jobs(jobs, executor, **shared)
        self.assertEqual([job.options["max_loss"] for job in table], ["2%", "2%", "4%", "4%", "1"])
        # The same as alone, wherever it ran; the last is none.
        self.assertEqual(same(table[0].result.to_json()), same(self.result.to_json()))
        self.assertIsInstance(table[4].error, fw.OptionError)
        rows = table.to_dict()
        self.assertEqual(rows[0]["memory_saved"], self.result.memory_bits.reduction)
        self.assertIn("max-loss", rows[4]["error"])
        self.assertEqual(len(repr(table).splitlines()), 6)
        self.assertIn("Runs side by side", Path(table.report(self.path / "jobs.html")).read_text(encoding="utf-8"))
        alone = fw.sweep_jobs([{"strategy": "fixed"}], **shared)
        self.assertEqual(same(alone[0].result.to_json())["layers"], same(table[1].result.to_json())["layers"])
        for wrong in (lambda: fw.sweep_jobs([]), lambda: fw.sweep_jobs([{}]), lambda: fw.grid(seed=3),
                      lambda: fw.sweep_jobs(jobs, 3, **shared)):
            with self.assertRaises(fw.OptionError):
                wrong()

    def test_an_executor_measures_the_images_of_a_search(self) -> None:
        def of(executor: object, **options: object) -> fw.Result:
            return fw.quantize(network(), **self.sets, max_loss="2%", executor=executor, **options)

        class Lossy(ThreadPoolExecutor):
            """Of its tasks each third fails, and each fourth never ends."""

            asked = 0
            version = ""

            def submit(self, task, version, *values):  # type: ignore[no-untyped-def, override]
                self.asked += 1
                if self.asked % 3 == 0:
                    return super().submit(lambda: 1 / 0)
                if self.asked % 4 == 0:
                    return Future()
                return super().submit(task, self.version or version, *values)

        with ThreadPoolExecutor(3) as threads, Lossy(3) as lossy:
            with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
                with mock.patch.object(_spread, "_PATIENCE", 0.1):
                    results = [of(executor) for executor in (threads, processes, lossy)]
            self.assertGreater(lossy.asked, 20)
            for result in results:
                self.assertEqual(same(result.to_json()), same(self.result.to_json()))
                self.assertEqual(result.plan, self.result.plan)
            # Started again, it goes on from the journal.
            submit = mock.Mock(wraps=threads.submit)
            with mock.patch.object(threads, "submit", submit):
                asked = []
                for resume in (False, True):
                    again = of(threads, out=self.path / "resumed", resume=resume)
                    self.assertEqual(again.plan, self.result.plan)
                    asked.append(submit.call_count)
            self.assertLess(asked[1] - asked[0], asked[0])
            # A number of its own for outputs, which nodes give.
            judge = {"metric": lambda y, labels: float((y.argmax(1) == labels).mean()), "max_loss": "2%"}
            judged = [fw.quantize(self.file, **self.sets, **judge, executor=one) for one in (None, threads)]
            self.assertEqual(judged[0].plan, judged[1].plan)
            lossy.version = "0.0.1"
            with self.assertRaisesRegex(fw.SearchError, "a worker has fixedwise .* the driver 0.0.1; install one version"):
                of(lossy)
            with self.assertRaisesRegex(fw.OptionError, "`start` is in memory, where the workers"):
                of(threads, start=self.result.plan)
        # One that is shut down leaves it to this process.
        self.assertEqual(of(threads).plan, self.result.plan)
        with self.assertRaisesRegex(fw.OptionError, "of type int has no `submit`"):
            of(3)

    def test_searches_of_a_file_run_here_and_on_a_cluster(self) -> None:
        jobs = self.path / "jobs.toml"
        shared = "".join(f'{name} = "{name}.npz"\n' for name in self.sets)
        grid = '[grid]\nmax-loss = ["2%", "4%"]\n[[job]]\nstrategy = "fixed"\nkeep = ["sums.weights=4"]\n'
        jobs.write_text(f'[shared]\nmodel = "{self.file}"\n{shared}{grid}')
        with contextlib.chdir(self.path):
            table = fw.sweep_jobs(jobs, threads=1)
        self.assertEqual(same(table[0].result.to_json()), same(self.result.to_json()))
        self.assertEqual(table[2].options["keep"], ["sums.weights=4"])
        self.assertIsInstance(table[2].error, fw.OptionError)
        # What stands for Ray here runs tasks where it is; a test of three nodes is `ray_cluster.py`.
        stand_in = self.path / "stand_in"
        stand_in.mkdir()
        (stand_in / "ray.py").write_text(RAY)
        environment = {**os.environ, "PYTHONPATH": str(stand_in)}

        def run(*words: str, **variables: str) -> tuple[int, str]:
            done = subprocess.run(
                [COMMAND, "sweep-jobs", jobs, *words], cwd=self.path, env={**environment, **variables},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout + done.stderr

        code, text = run("--ray", "auto", "-o", "spread")
        self.assertEqual(code, 1, text)
        self.assertIn("1 of 3 searches failed", text)
        rows = json.loads((self.path / "spread" / "jobs.json").read_text())
        self.assertEqual(rows[0]["memory_saved"], self.result.memory_bits.reduction)
        self.assertIn("keep", rows[2]["error"])
        plan = (self.path / "spread" / "1" / "plan.npz").read_bytes()
        self.assertEqual(plan, self.result.plan._integers)
        self.assertIn("there is no cluster of Ray at `10.9.8.7:1`", run("--ray", "10.9.8.7:1", "-o", "no")[1])
        self.assertIn("a worker has fixedwise", run("--ray", "auto", "-o", "old", STAND_IN_VERSION="0.0.1")[1])
        self.assertIn("package ray; pip install 'fixedwise[ray]'", run("--ray", "auto", PYTHONPATH="")[1])
        jobs.write_text(f'[grid]\nmodel = ["{self.file}"]\nsed = [3]\n')
        for call in (lambda: fw.sweep_jobs(jobs), lambda: fw.sweep_jobs(str(jobs))):
            with self.assertRaisesRegex(fw.OptionError, "line 3: `sed` is no option .* `seed`"):
                call()

    def test_what_is_not_installed_is_named(self) -> None:
        for name, call in [
            ("ray", fw.RayExecutor),
            ("tqdm", lambda: fw.quantize(self.file, **self.sets, progress=True)),
        ]:
            with mock.patch.dict(sys.modules, {name: None, f"{name}.auto": None}):
                with self.assertRaisesRegex(fw.OptionError, f"package {name}; pip install"):
                    call()

    def test_a_module_is_exported_with_an_example(self) -> None:
        """What is asked of PyTorch, by one that is not there."""
        asked = []

        class Module:
            training = True
            operator: str | None = None

            def eval(self) -> None:
                self.training = False

            def train(self, mode: bool) -> None:
                self.training = mode

        Module.__module__ = "torch.nn.modules.module"

        class Tensor(np.ndarray):
            def is_floating_point(self) -> bool:
                return self.dtype.kind == "f"

            def float(self) -> "Tensor":
                return self.astype(np.float32)

        def export(module: Module, tensors: tuple, path: str, **_: object) -> None:
            asked.append((module.training, [tensor.shape for tensor in tensors], tensors[0].max()))
            if module.operator is not None:
                cause = ValueError(f"No ONNX function found for <{module.operator}>")
                raise RuntimeError("failed") from cause
            onnx.save(network(), path)

        torch = types.ModuleType("torch")
        torch.as_tensor = lambda x: np.asarray(x).view(Tensor)
        torch.no_grad = contextlib.nullcontext
        torch.onnx = types.SimpleNamespace(export=export)
        module = Module()
        with mock.patch.dict(sys.modules, torch=torch):
            result = fw.quantize(module, **self.sets, strategy="fixed")
            self.assertEqual((result.model.name, module.training), ("Module.onnx", True))
            is_training, shapes, largest = asked[0]
            self.assertEqual((is_training, shapes), (False, [(1, 1, 4, 4)]))
            self.assertLessEqual(largest, 1)
            with self.assertRaisesRegex(fw.ModelError, "example=tensor"):
                fw.inspect(module)
            module.operator = "aten.svd"
            with self.assertRaisesRegex(fw.ModelError, "No ONNX function") as caught:
                fw.inspect(module, example=np.zeros((1, 1, 4, 4), np.float32))
            self.assertEqual((caught.exception.node, module.training), ("aten.svd", True))

    def test_a_metric_may_be_a_function(self) -> None:
        seen = []

        def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
            seen.append((outputs.shape, labels.shape))
            return float((outputs.argmax(1) == labels).mean())

        result = fw.quantize(self.file, **self.sets, metric=accuracy, max_loss="2%", strategy="fixed")
        self.assertEqual(result.metric, "command")
        self.assertIn(((200, 4), (200,)), seen)
        # Of the test images too, by their own labels.
        expected = (result.network()(self.sets["test"][0]).argmax(1) == self.sets["test"][1]).mean()
        self.assertEqual(result.accuracy.test.metric[1], expected)
        measured = fw.evaluate(self.file, result.plan, test=self.sets["test"], metric=accuracy)
        self.assertEqual(measured.accuracy.test.metric[1], expected)

        def fail(outputs: np.ndarray, labels: np.ndarray) -> float:
            raise ZeroDivisionError("mine")

        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            fw.quantize(self.file, **self.sets, metric=fail, strategy="fixed")
        with self.assertRaisesRegex(fw.OptionError, "in memory; `.*test.npz` has none"):
            fw.evaluate(self.file, result.plan, test=self.path / "test.npz", metric=accuracy)
        with self.assertRaisesRegex(fw.OptionError, "remove one of the two"):
            fw.quantize(self.file, **self.sets, metric=accuracy, metric_command="true")

    def test_warnings_are_warnings(self) -> None:
        sets = {name: (x, (y + 1) % 4) for name, (x, y) in self.sets.items()}
        with warnings.catch_warnings(record=True), self.assertRaises(fw.DataError) as caught:
            fw.quantize(self.file, **sets, expect="99%")
        self.assertIn("preprocess", str(caught.exception))

    def test_the_sources_are_whole(self) -> None:
        with tarfile.open(os.environ["FIXEDWISE_SOURCES"]) as archive:
            archive.extractall(self.path / "sources", filter="data")
        (folder,) = (self.path / "sources").iterdir()
        self.assertTrue((folder / "pyproject.toml").exists() and (folder / "LICENSE-MIT").exists())
        describe = [os.environ["CARGO"], "metadata", "--offline", "--locked", "--no-deps", "--format-version=1"]
        done = subprocess.run(describe, cwd=folder, capture_output=True, text=True, check=True)
        names = {package["name"] for package in json.loads(done.stdout)["packages"]}
        self.assertIn("fixedwise-python", names)
        # What the code includes is there too; tests stand last in a file.
        included = []
        for file in (folder / "crates").glob("*/src/**/*.rs"):
            code = re.split(r"#\[cfg\((?:test|doctest)\)\]", file.read_text(encoding="utf-8"))[0]
            if file.name != "tests.rs":
                included += [file.parent / path for path in re.findall(r'include_(?:str|bytes)!\("(.*?)"\)', code)]
        self.assertGreater(len(included), 100)
        self.assertEqual([path for path in included if not path.exists()], [])


if __name__ == "__main__":
    unittest.main()
