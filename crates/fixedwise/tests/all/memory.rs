//! Models from bytes and images from arrays are those of their files.

use fixedwise::{
    Arrays, CExport, DataOptions, DataSource, EvaluateOptions, ExportForm, ExportOptions, Layout,
    Model, Outcome, Pixels, QuantizeOptions, RunResult, Strategy, evaluate, evaluate_model, export,
    export_c, export_c_model, export_model, inspect, inspect_model, quantize, quantize_model,
    read_plan,
};
use fixedwise_codec::{
    idx::read_first,
    npz::{Array, ArrayData, encode_npz},
};
use fixedwise_testing::project;
use std::{path::Path, sync::atomic::AtomicBool};

const MODEL: &str = "models/fashion_small.onnx";

/// Images and labels of the embedded data set.
fn stored(part: &str) -> (Vec<u8>, Vec<u8>) {
    let read = |kind: &str| {
        let path = project(&format!("data/fashion-mnist/{part}-{kind}-ubyte.gz"));
        read_first(&std::fs::read(path).unwrap(), usize::MAX, 1 << 30).unwrap().data
    };
    (read("images-idx3"), read("labels-idx1"))
}

fn arrays(pixels: impl Into<Pixels>, shape: &[usize], labels: Option<&[u8]>) -> Arrays {
    Arrays {
        name: "images".to_owned(),
        shape: shape.to_vec(),
        pixels: pixels.into(),
        layout: None,
        labels: labels
            .map(|labels| labels.iter().map(|&label| i64::from(label)).collect::<Vec<_>>().into()),
    }
}

fn from_arrays(train: DataSource, test: &DataSource) -> DataOptions {
    DataOptions {
        calibration: Some(train),
        search: Some(test.part(0..60)),
        test: Some(test.part(60..120)),
        preprocess: Some("scale=1/255".parse().unwrap()),
        ..DataOptions::default()
    }
}

fn from_files() -> DataOptions {
    let folder = project("data/fashion-mnist");
    let source = |of: &str| Some(format!("{}:{of}", folder.display()).parse().unwrap());
    DataOptions {
        calibration: source("train@0..20"),
        search: source("test@0..60"),
        test: source("test@60..120"),
        preprocess: Some("scale=1/255".parse().unwrap()),
        ..DataOptions::default()
    }
}

fn from_memory() -> DataOptions {
    let source = |part: &str, shape: &[usize]| {
        let (pixels, labels) = stored(part);
        let shape = [&[labels.len(), 28, 28], shape].concat();
        DataSource::arrays(arrays(pixels, &shape, Some(&labels)))
    };
    from_arrays(source("train", &[]).part(0..20), &source("t10k", &[1]))
}

fn model() -> Model {
    let bytes = std::fs::read(project(MODEL)).unwrap();
    Model::from_bytes("fashion_small.onnx", &bytes).unwrap()
}

/// A result without the time it took.
fn timeless(result: &RunResult) -> RunResult {
    let mut result = RunResult { seconds: 0.0, ..result.clone() };
    result.trace.iter_mut().for_each(|step| step.seconds = 0.0);
    result
}

fn assert_same(found: &Outcome, expected: &Outcome) {
    assert_eq!(found.plan, expected.plan);
    assert_eq!(timeless(&found.result), timeless(&expected.result));
    assert_eq!(found.trace, expected.trace);
}

#[test]
fn a_search_in_memory_finds_what_one_of_files_finds() {
    let (path, go_on) = (project(MODEL), AtomicBool::new(false));
    let options =
        QuantizeOptions { strategy: Strategy::Fixed { bits: 6 }, ..QuantizeOptions::default() };
    let by_path = quantize(&path, &from_files(), &options).unwrap();
    assert!(!by_path.result.measured_on.is_empty());
    assert_same(&quantize(&path, &from_memory(), &options).unwrap(), &by_path);
    for data in [from_files(), from_memory()] {
        let found = quantize_model(&model(), &data, &options, &(), &go_on).unwrap();
        assert_same(&found, &by_path);
    }
    // A search that measures plans.
    let options = QuantizeOptions { strategy: Strategy::Joint, ..QuantizeOptions::default() };
    let by_path = quantize(&path, &from_files(), &options).unwrap();
    let found = quantize_model(&model(), &from_memory(), &options, &(), &go_on).unwrap();
    assert_same(&found, &by_path);
}

#[test]
fn floats_in_memory_are_those_of_a_file_in_either_layout() {
    let folder = tempfile::tempdir().unwrap();
    let (test, labels) = stored("t10k");
    let (n, size) = (200, 28 * 28);
    let floats: Vec<f32> = test[..n * size].iter().map(|&x| f32::from(x) / 255.0).collect();
    let labels = &labels[..n];
    let file = folder.path().join("floats.npz");
    let x = Array { shape: vec![n, 1, 28, 28], data: ArrayData::F32(floats.clone()) };
    let y = Array { shape: vec![n], data: ArrayData::U8(labels.to_vec()) };
    std::fs::write(&file, encode_npz(&[("x", &x), ("y", &y)])).unwrap();
    let of_file: DataSource = file.display().to_string().parse().unwrap();
    let in_memory = |layout, shape: &[usize]| {
        let arrays = Arrays { layout, ..arrays(floats.clone(), shape, Some(labels)) };
        DataSource::arrays(arrays)
    };
    let options =
        QuantizeOptions { strategy: Strategy::Fixed { bits: 7 }, ..QuantizeOptions::default() };
    let found = |source: &DataSource| {
        let data = DataOptions {
            calibration: Some(source.part(0..50)),
            search: Some(source.part(50..120)),
            test: Some(source.part(120..200)),
            preprocess: Some("scale=1".parse().unwrap()),
            ..DataOptions::default()
        };
        quantize_model(&model(), &data, &options, &(), &AtomicBool::new(false)).unwrap()
    };
    let expected = found(&of_file);
    for source in [
        in_memory(None, &[n, 28, 28]),
        in_memory(Some(Layout::Nchw), &[n, 1, 28, 28]),
        in_memory(Some(Layout::Nhwc), &[n, 28, 28, 1]),
    ] {
        assert_same(&found(&source), &expected);
    }
}

#[test]
fn a_plan_in_memory_is_measured_and_exported_as_its_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plan) = (project(MODEL), project("suite/export/plan.toml"));
    let model = model();
    let loaded = read_plan(&plan, &model, None).unwrap();

    let options = EvaluateOptions::default();
    let expected = evaluate(&path, &plan, &from_files(), &options, &()).unwrap();
    let found = evaluate_model(&model, &loaded, &from_memory(), &options, &()).unwrap();
    assert_eq!(timeless(&found), timeless(&expected));

    let expected = inspect(&path, None, Some(&from_files()), None, &()).unwrap();
    assert_eq!(inspect_model(&model, Some(&from_memory()), None, &()).unwrap(), expected);

    let at = |name: &str| folder.path().join(name);
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    let options = ExportOptions {
        preprocess: Some("scale=1/255".parse().unwrap()),
        ..ExportOptions::default()
    };
    for form in [ExportForm::Onnx, ExportForm::Npz] {
        let [a, b] = ["a", "b"].map(|name| at(&format!("{name}{form:?}")));
        export(&path, &plan, form, &a, &options).unwrap();
        export_model(&model, &loaded, form, &b, &options).unwrap();
        assert_eq!(bytes(&a), bytes(&b), "{form:?}");
    }
    let c = CExport::default();
    let of_files = export_c(&path, &plan, &at("c"), &options, &c).unwrap();
    let in_memory = export_c_model(&model, &loaded, &at("d"), &options, &c).unwrap();
    assert_eq!(of_files.layers, in_memory.layers);
    for (a, b) in of_files.files.iter().zip(&in_memory.files) {
        assert_eq!(bytes(a), bytes(b), "{}", a.display());
    }
}

#[test]
fn a_plan_in_memory_is_not_used_without_its_preprocessing() {
    let folder = tempfile::tempdir().unwrap();
    let (model, at) = (model(), |name: &str| folder.path().join(name));
    let options =
        QuantizeOptions { strategy: Strategy::Fixed { bits: 6 }, ..QuantizeOptions::default() };
    let data = from_memory();
    let found = quantize_model(&model, &data, &options, &(), &AtomicBool::new(false)).unwrap();
    let forgotten = DataOptions { preprocess: None, ..data };
    let (plan, none, c) = (&found.plan, ExportOptions::default(), CExport::default());
    let evaluated = evaluate_model(&model, plan, &forgotten, &EvaluateOptions::default(), &());
    for error in [
        evaluated.err(),
        export_model(&model, plan, ExportForm::Npz, &at("a.npz"), &none).err(),
        export_c_model(&model, plan, &at("c"), &none, &c).err(),
    ] {
        let error = error.unwrap().to_string();
        assert!(
            error.starts_with("option `preprocess` must be given with a plan in mem"),
            "{error}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // The result of the search has it.
    let preprocess = found.result.preprocessing.map(|fed| fed.preprocess);
    assert_eq!(preprocess, Some("scale=1/255".parse().unwrap()));
    let options = ExportOptions { preprocess, ..ExportOptions::default() };
    export_model(&model, plan, ExportForm::Npz, &at("a.npz"), &options).unwrap();
}

#[test]
fn arrays_that_no_network_can_take_are_refused_as_files_are() {
    let image = 28 * 28;
    let bytes = |n: usize| vec![7_u8; n * image];
    let mut nan = vec![0.5_f32; 2 * image];
    nan[image + 3] = f32::NAN;
    let cases = [
        (arrays(bytes(0), &[0, 28, 28], None), "contains no image"),
        (arrays(bytes(0), &[], None), "not those of extents []"),
        (arrays(bytes(2), &[3, 28, 28], None), "not those of extents [3, 28, 28]"),
        (arrays(bytes(2), &[usize::MAX, 28, 28], None), "not those of extents"),
        (arrays(bytes(2), &[2, 14, 56], None), "the network expects 28x28x1"),
        (arrays(bytes(2), &[2, 28, 28, 1, 1], None), "5 axes"),
        (arrays(nan, &[2, 28, 28], None), "image 1 has the pixel value NaN"),
        (arrays(bytes(2), &[2, 28, 28], Some(&[0])), "2 images but 1 labels"),
    ];
    for (arrays, problem) in cases {
        let shape = arrays.shape.clone();
        let source = DataSource::arrays(arrays);
        let data = DataOptions { calibration: Some(source), ..DataOptions::default() };
        let Err(error) = inspect_model(&model(), Some(&data), None, &()) else {
            panic!("{shape:?} is read, but {problem}")
        };
        let error = error.to_string();
        assert!(error.starts_with("data `images` "), "{shape:?}: {error}");
        assert!(error.contains(problem), "{shape:?}: expected {problem}, got {error}");
    }
    let few = DataSource::arrays(arrays(bytes(2), &[2, 28, 28], None));
    let data = DataOptions { calibration: Some(few.part(1..3)), ..DataOptions::default() };
    let error = inspect_model(&model(), Some(&data), None, &()).unwrap_err().to_string();
    assert!(error.contains("`images@1..3` selects images 1 to 3, but there are only 2"), "{error}");
}

#[test]
fn arrays_that_two_sets_share_are_refused() {
    let labels = [1_u8; 20];
    let pixels: Vec<u8> = (0..20 * 28 * 28).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let source = |name: &str| {
        let arrays = arrays(pixels.clone(), &[20, 28, 28], Some(&labels));
        DataSource::arrays(Arrays { name: name.to_owned(), ..arrays })
    };
    let (one, copy) = (source("one"), source("copy"));
    for test in [one.part(9..20), copy.part(9..20)] {
        let data = DataOptions {
            calibration: Some(one.part(0..3)),
            search: Some(one.part(3..10)),
            test: Some(test),
            ..DataOptions::default()
        };
        let options = QuantizeOptions::default();
        let error = quantize(&project(MODEL), &data, &options).unwrap_err().to_string();
        assert!(error.contains("search and test share 1 images"), "{error}");
    }
}

#[test]
fn a_model_in_memory_has_its_architecture() {
    let options =
        QuantizeOptions { architecture: Some("net.json".into()), ..QuantizeOptions::default() };
    let found = quantize_model(&model(), &from_files(), &options, &(), &AtomicBool::new(false));
    let error = found.unwrap_err().to_string();
    assert!(error.starts_with("option `architecture` is for files of weights alone"), "{error}");
}

#[test]
fn models_of_keras_come_from_bytes_too() {
    for name in ["plain.h5", "plain.keras"] {
        let path = project(&format!("suite/keras/{name}"));
        let bytes = std::fs::read(&path).unwrap();
        let expected = Model::load(&path).unwrap();
        // The bytes tell as much as the name.
        for name in [name, "plain"] {
            let model = Model::from_bytes(name, &bytes).unwrap();
            assert_eq!((model.name(), model.sha256()), ("plain", expected.sha256()));
            assert_eq!(model.input_shape(), expected.input_shape());
        }
    }
}
