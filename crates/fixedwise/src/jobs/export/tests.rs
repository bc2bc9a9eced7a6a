use super::super::{
    options::{QuantizeOptions, Strategy},
    quantize::quantize,
};
use super::*;
use fixedwise_codec::{
    idx,
    npz::{Array, ArrayData, Npz, encode_npy},
};
use fixedwise_fixed::convert::{count_to_u64, f64_to_f32};
use fixedwise_graph::Interface;
use fixedwise_graph::Shape;
use fixedwise_graph::emit::tflite::TfliteKernels;
use fixedwise_graph::run::{Program, ValueRef, Workspace};
use fixedwise_kernels::Kernels;
use fixedwise_search::Offset;
use fixedwise_testing::{project, python, shared};
use rayon::prelude::*;
use std::{fs, process::Command};

#[test]
fn names_are_identifiers() {
    for name in ["net", "Net_2", "n"] {
        assert_eq!(checked_name(name).unwrap(), name);
    }
    for name in ["", "2net", "_net", "a-b", "a b", "é", &"n".repeat(65)] {
        assert!(checked_name(name).is_err(), "{name}");
    }
}

/// An export of the embedded network into a new folder, or its error.
fn export_small(form: ExportForm, plan: &Path, output: &Path) -> Result<Exported, String> {
    let model = project("models/fashion_small.onnx");
    export(&model, plan, form, output, &ExportOptions::default()).map_err(|e| e.to_string())
}

const FORMS: [ExportForm; 5] = [
    ExportForm::Onnx,
    ExportForm::Qonnx,
    ExportForm::Hls,
    ExportForm::Npz,
    ExportForm::Tflite(TfliteOptions { kernels: TfliteKernels::Reference, int4: false }),
];

#[test]
fn the_same_network_gives_the_same_bytes_and_replaces_its_own() {
    let plan = project("suite/export/plan.toml");
    let folder = tempfile::tempdir().unwrap();
    for form in FORMS {
        let output = folder.path().join(format!("{form:?}"));
        let mut written = Vec::new();
        for _ in 0..2 {
            let exported = export_small(form, &plan, &output).unwrap();
            assert_eq!(exported.inexact, Vec::<String>::new());
            let bytes: Vec<_> = exported.files.iter().map(|file| fs::read(file).unwrap()).collect();
            written.push(bytes);
        }
        assert_eq!(written[0], written[1], "{form:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), FORMS.len());
}

#[test]
fn what_is_in_the_way_stays() {
    let plan = project("suite/export/plan.toml");
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.onnx");
    fs::copy(project("models/fashion_small.onnx"), &model).unwrap();
    let others = folder.path().join("notes.txt");
    fs::write(&others, "mine").unwrap();
    let mine = folder.path().join("fashion_small_types.h");
    fs::write(&mine, "mine").unwrap();
    let before = fs::read_dir(folder.path()).unwrap().count();
    for (form, output, expected) in [
        (ExportForm::Onnx, &others, "notes.txt` already exists: it was not written by fixedwise"),
        // A trained network of ours is none that an export wrote.
        (ExportForm::Onnx, &model, "model.onnx` already exists: it was not written by fixedwise"),
        (ExportForm::Npz, &folder.path().to_owned(), "` already exists: it is a folder"),
        (ExportForm::Hls, &folder.path().to_owned(), "fashion_small_types.h` already exists"),
        (ExportForm::Hls, &others, "cannot write into"),
        (ExportForm::Npz, &others.join("x.npz"), "cannot write"),
        (ExportForm::Npz, &folder.path().join("absent/x.npz"), "cannot write"),
    ] {
        let error = export_small(form, &plan, output).unwrap_err();
        assert!(error.contains(expected), "expected {expected:?}, got: {error}");
    }
    let own = export(&model, &plan, ExportForm::Onnx, &model, &ExportOptions::default());
    let error = own.unwrap_err().to_string();
    assert!(error.contains("it is an input of this export"), "{error}");
    let beside = tempfile::tempdir().unwrap();
    let [copy, integers] = ["plan.toml", "plan.npz"].map(|name| beside.path().join(name));
    fs::copy(&plan, &copy).unwrap();
    fs::write(&integers, "the integers of a plan").unwrap();
    let own = export(&model, &copy, ExportForm::Npz, &integers, &ExportOptions::default());
    let error = own.unwrap_err().to_string();
    assert!(error.contains("it is an input of this export"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before, "nothing half-written");
    assert_eq!(fs::read(&others).unwrap(), b"mine");
}

#[test]
fn plans_without_integers_or_of_other_networks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("x.npz");
    let good = fs::read_to_string(project("suite/export/plan.toml")).unwrap();
    for (name, text, expected) in [
        (
            "simulated.toml",
            good.replace("\"integer\"", "\"simulated\""),
            "simulated.toml`: its semantics are `simulated`, which have no integers to export",
        ),
        (
            "paper.json",
            r#"{"weights": {"conv2d_2": [8, 8]}, "biases": {}, "activations": {}}"#.to_owned(),
            "which have no integers to export",
        ),
        ("other.toml", good.replace("conv2d_2", "conv2d_7"), "conv2d_7"),
        (
            "fewer.toml",
            good[..good.find("[layers.dense_1]").unwrap()].to_owned(),
            "the plan has no format for the activation of `dense_1`",
        ),
        ("steps.toml", good.replace("bits = 6, frac = 7", "bits = 6, frac = 120"), "a shift of"),
    ] {
        let plan = folder.path().join(name);
        fs::write(&plan, text).unwrap();
        let error = export_small(ExportForm::Npz, &plan, &output).unwrap_err();
        assert!(error.contains(expected), "expected {expected:?}, got: {error}");
        assert!(!output.exists());
    }
}

/// Images `[n, h, w, c]` of raw pixels.
struct Pixels {
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Pixels {
    fn first(&self, n: usize) -> (Array, Vec<Vec<f32>>) {
        let len: usize = self.shape[1..].iter().product();
        let mut shape = vec![n, self.shape[1], self.shape[2]];
        shape.push(self.shape.get(3).copied().unwrap_or(1));
        let data = self.data[..n * len].to_vec();
        let images = data.chunks_exact(len).map(|x| x.iter().map(|&x| f32::from(x)).collect());
        let images = images.collect();
        (Array { shape, data: ArrayData::U8(data) }, images)
    }
}

/// The real values of the classes for all images, by the integer network.
fn classes(fixed: &FixedGraph, images: &[Vec<f32>]) -> Array {
    let program = Program::fixed(fixed, Kernels::best());
    let schedule = program.schedule(&[], &[fixed.output()]);
    let output = &fixed.nodes[fixed.output()];
    let run = |workspace: &mut Workspace, image: &Vec<f32>| {
        program.run(&schedule, workspace, image, &[]);
        let ValueRef::Integers(x) = program.value(&schedule, workspace, fixed.output()) else {
            panic!("an integer program has integer values")
        };
        (0..x.len()).map(|i| f64_to_f32(output.format.dequantize(x.get(i)))).collect::<Vec<f32>>()
    };
    let results: Vec<Vec<f32>> = images.par_iter().map_init(Workspace::new, run).collect();
    let shape = vec![images.len(), output.shape.len()];
    Array { shape, data: ArrayData::F32(results.concat()) }
}

/// ONNX Runtime names the same class for at least 99.9 % of the first `n` images.
fn compare(python: &Path, model: &Path, plan: &Path, pixels: &Pixels, n: usize) {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join(model.file_stem().unwrap());
    fs::create_dir(&case).unwrap();
    let options = ExportOptions::default();
    let output = case.join("network.onnx");
    let exported = export(model, plan, ExportForm::Onnx, &output, &options).unwrap();
    let interface = Interface::default();
    let source = ModelSource::File(model, None, &interface);
    let fixed = integer_network(source, PlanSource::File(plan), &options, None).unwrap().fixed;
    let (array, images) = pixels.first(n);
    fs::write(case.join("images.npy"), encode_npy(&array)).unwrap();
    fs::write(case.join("expected.npy"), encode_npy(&classes(&fixed, &images))).unwrap();
    let run = Command::new(python)
        .arg(project("suite/run_export.py"))
        .arg("onnx")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    println!("{text}inexact: {:?}", exported.inexact);
    assert_eq!(text.lines().count(), 2, "{text}");
    for line in text.lines() {
        let same = line.rsplit(", ").next().unwrap().split(' ').next().unwrap();
        let same: u64 = same.parse().unwrap();
        assert!(1000 * same >= 999 * count_to_u64(n), "{line}");
        if exported.inexact.is_empty() {
            assert!(line.contains(&format!(" {n} of {n} equal")), "{line}");
        }
    }
}

#[test]
fn onnx_runtime_names_the_same_classes() {
    let Some(python) = python() else { return };
    let bytes = fs::read(project("data/fashion-mnist/t10k-images-idx3-ubyte.gz")).unwrap();
    let images = idx::read(&bytes, 1 << 24).unwrap();
    let pixels = Pixels { shape: images.shape.clone(), data: images.data };
    let model = project("models/fashion_small.onnx");
    compare(&python, &model, &project("suite/export/plan.toml"), &pixels, 5000);

    let model = project("models/fashion_inception.onnx");
    let data = project("data/fashion-mnist").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let plan = uniform(&model, &data, 6, folder.path());
    let size = Model::load(&model).unwrap().input_shape().h;
    compare(&python, &model, &plan, &enlarged(&pixels, size, 200), 200);
}

/// Nearest neighbor, for networks that take larger images.
fn enlarged(pixels: &Pixels, size: usize, n: usize) -> Pixels {
    let image = |image: &[u8]| {
        (0..size * size)
            .map(|i| image[i / size * 28 / size * 28 + i % size * 28 / size])
            .collect::<Vec<u8>>()
    };
    let data = pixels.data.chunks_exact(28 * 28).take(n).flat_map(image).collect();
    Pixels { shape: vec![n, size, size], data }
}

#[test]
fn qonnx_and_numpy_compute_the_same_with_the_embedded_network() {
    let Some(python) = python() else { return };
    let bytes = fs::read(project("data/fashion-mnist/t10k-images-idx3-ubyte.gz")).unwrap();
    let images = idx::read(&bytes, 1 << 24).unwrap();
    let pixels = Pixels { shape: images.shape.clone(), data: images.data };
    let plan = project("suite/export/plan.toml");
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("fashion_small");
    fs::create_dir(&case).unwrap();
    export_small(ExportForm::Qonnx, &plan, &case.join("network.qonnx.onnx")).unwrap();
    export_small(ExportForm::Npz, &plan, &case.join("network.npz")).unwrap();
    let model = project("models/fashion_small.onnx");
    let fixed = integer_network(
        ModelSource::File(&model, None, &Interface::default()),
        PlanSource::File(&plan),
        &ExportOptions::default(),
        None,
    )
    .unwrap()
    .fixed;
    let (array, images) = pixels.first(10);
    fs::write(case.join("images.npy"), encode_npy(&array)).unwrap();
    fs::write(case.join("expected.npy"), encode_npy(&classes(&fixed, &images))).unwrap();
    for form in ["qonnx", "npz"] {
        let run = Command::new(&python)
            .arg(project("suite/run_export.py"))
            .arg(form)
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        assert_eq!(text, "fashion_small: 10 of 10 equal, 10 the same class\n", "{form}");
    }
}

/// With a searched plan every kernel of LiteRT gives the same integers; with 8 bits everywhere those that a file is
/// made for do, but for halves below zero, and the file is read back.
#[test]
fn litert_computes_the_same_with_the_embedded_network() {
    let bytes = fs::read(project("data/fashion-mnist/t10k-images-idx3-ubyte.gz")).unwrap();
    let images = idx::read(&bytes, 1 << 24).unwrap();
    let pixels = Pixels { shape: images.shape.clone(), data: images.data };
    let model = project("models/fashion_small.onnx");
    let folder = tempfile::tempdir().unwrap();
    let data = project("data/fashion-mnist").display().to_string();
    let eight = uniform(&model, &data, 8, &folder.path().join("run"));
    let cases = folder.path().join("cases");
    for (name, plan) in [("searched", project("suite/export/plan.toml")), ("eight", eight)] {
        let case = cases.join(name);
        fs::create_dir_all(&case).unwrap();
        for (file, kernels) in
            [("reference", TfliteKernels::Reference), ("xnnpack", TfliteKernels::Xnnpack)]
        {
            let form = ExportForm::Tflite(TfliteOptions { kernels, int4: false });
            let path = case.join(format!("{file}.tflite"));
            let exported = export_small(form, &plan, &path).unwrap();
            let expected: &[&str] = if name == "eight" { &["dense_1"] } else { &[] };
            assert_eq!(exported.rounded, expected, "{name} {file}");
            let read = Model::load(&path).unwrap();
            assert_eq!(read.input_shape(), Shape::new(28, 28, 1));
        }
        let interface = Interface::default();
        let source = ModelSource::File(&model, None, &interface);
        let plan = PlanSource::File(&plan);
        let fixed = integer_network(source, plan, &ExportOptions::default(), None).unwrap().fixed;
        let (array, images) = pixels.first(60);
        fs::write(case.join("images.npy"), encode_npy(&array)).unwrap();
        fs::write(case.join("expected.npy"), encode_npy(&classes(&fixed, &images))).unwrap();
    }
    let Some(python) = python() else { return };
    let run = Command::new(&python)
        .arg(project("suite/run_export.py"))
        .arg("tflite")
        .arg(&cases)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    for line in text.lines() {
        let is_meant =
            line.contains("reference by reference") || line.contains("xnnpack by xnnpack");
        if line.starts_with("searched") {
            assert!(line.contains(": 60 of 60 equal"), "{text}");
        } else if is_meant {
            assert!(line.contains("60 the same class"), "{text}");
        }
    }
    assert_eq!(text.lines().count(), 8, "{text}");
}

/// A plan of uniform width.
fn uniform(model: &Path, data: &str, bits: u8, folder: &Path) -> PathBuf {
    let source = |range: &str| Some(format!("{data}:{range}").parse().unwrap());
    let Shape { h, w, .. } = Model::load(model).unwrap().input_shape();
    let preprocess = format!("scale=1/255,resize={h}x{w}");
    let data = DataOptions {
        preprocess: Preprocess::beside(model).unwrap().or(Some(preprocess.parse().unwrap())),
        calibration: source("train@0..300"),
        search: source("test@0..50"),
        untested: true,
        ..DataOptions::default()
    };
    let options = QuantizeOptions {
        strategy: Strategy::Fixed { bits },
        // Any plan will do, and this is the fastest.
        range: Some(Offset::NoClip),
        output: Some(folder.to_owned()),
        ..QuantizeOptions::default()
    };
    quantize(model, &data, &options).unwrap();
    folder.join("plan.toml")
}

#[test]
fn onnx_runtime_names_the_same_classes_with_the_papers_networks() {
    let Some(python) = python() else { return };
    for (set, data) in [("mnist", "mnist"), ("fashion", "fashion_mnist")] {
        let Some(data) = shared(&format!("data/{data}.npz")) else { return };
        let bytes = fs::read(&data).unwrap();
        let x = Npz::open(&bytes, 1 << 28).unwrap().read("x_test").unwrap();
        let ArrayData::U8(images) = x.data else { panic!("pixels are bytes") };
        let pixels = Pixels { shape: x.shape, data: images };
        for (network, n) in [("seq_small", 1000), ("seq_large", 200), ("inception", 40)] {
            let Some(model) = shared(&format!("seed/models/{network}_{set}.onnx")) else { return };
            let folder = tempfile::tempdir().unwrap();
            let plan = uniform(&model, &data.display().to_string(), 8, folder.path());
            let size = Model::load(&model).unwrap().input_shape().h;
            compare(&python, &model, &plan, &enlarged(&pixels, size, n), n);
        }
    }
}
