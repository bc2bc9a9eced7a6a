//! Networks that Keras saved give what their twins in ONNX give, on real images.

use fixedwise_codec::{
    keras::{self, Hdf5Model},
    npz::{ArrayData, Npz},
    onnx,
};
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_graph::{
    Graph, Interface, from_keras, from_onnx, from_onnx_with_weights,
    run::{Program, ValueRef, Workspace},
};
use fixedwise_kernels::Kernels;
use fixedwise_testing::{project, run_float, shared};
use std::{collections::BTreeSet, path::Path};

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn parse_onnx(path: &Path) -> onnx::Model {
    onnx::parse_model(&bytes(path), &|_| Err("none".to_owned())).unwrap()
}

fn read_h5(path: &Path) -> Hdf5Model {
    keras::read_h5(&bytes(path), 1 << 28).unwrap()
}

/// Test images between 0 and 1, 28 x 28.
fn images(data: &Path, n: usize) -> Vec<Vec<f32>> {
    let file = bytes(data);
    let x = Npz::open(&file, 1 << 28).unwrap().read("x_test").unwrap();
    let ArrayData::U8(pixels) = x.data else { panic!("pixels are bytes") };
    let image = |pixels: &[u8]| pixels.iter().map(|&x| f64_to_f32(f64::from(x) / 255.0)).collect();
    pixels.chunks_exact(28 * 28).take(n).map(image).collect()
}

/// Nearest neighbor: both networks get the same pixels.
fn enlarge(image: &[f32], size: usize) -> Vec<f32> {
    (0..size * size).map(|i| image[i / size * 28 / size * 28 + i % size * 28 / size]).collect()
}

/// The largest class of each image, and all probabilities.
fn run(graph: &Graph, images: &[Vec<f32>]) -> Vec<(usize, Vec<f32>)> {
    let size = graph.input_shape().h;
    let program = Program::float(graph, Kernels::best());
    let schedule = program.schedule(&[], &[graph.output()]);
    let mut workspace = Workspace::new();
    images
        .iter()
        .map(|image| {
            let image = if size == 28 { image.clone() } else { enlarge(image, size) };
            program.run(&schedule, &mut workspace, &image, &[]);
            let ValueRef::F32(y) = program.value(&schedule, &workspace, graph.output()) else {
                panic!("a float program has float values")
            };
            let best = (1..y.len()).fold(0, |best, i| if y[i] > y[best] { i } else { best });
            (best, y.to_vec())
        })
        .collect()
}

/// Both give the same class and, to within 1e-4, the same probabilities on every image.
fn check(name: &str, network: &Graph, twin: &Graph, images: &[Vec<f32>]) {
    let (got, expected) = (run(network, images), run(twin, images));
    for (i, ((class, y), (twin_class, twin_y))) in got.iter().zip(&expected).enumerate() {
        assert_eq!(class, twin_class, "{name}: image {i}: another class");
        for (a, b) in y.iter().zip(twin_y) {
            assert!((a - b).abs() <= 1e-4, "{name}: image {i}: {a} is not {b}");
        }
    }
    let layers = |graph: &Graph| {
        graph.layers().map(|(_, node)| node.name.clone()).collect::<BTreeSet<String>>()
    };
    assert_eq!(layers(network), layers(twin), "{name}");
}

#[test]
fn saved_networks_give_what_their_twins_in_onnx_give() {
    for (file, twin, data, n) in [
        ("fashion_keras", "seq_small_fashion", "fashion_mnist", 10_000),
        ("fashion_seq_large", "seq_large_fashion", "fashion_mnist", 2_000),
        ("fashion_df", "inception_fashion", "fashion_mnist", 500),
        ("inception_v3_model_batchnorm", "inception_mnist", "mnist", 500),
    ] {
        let Some(path) = shared(&format!("seed/keras/{file}.h5")) else { return };
        let Some(twin) = shared(&format!("seed/models/{twin}.onnx")) else { return };
        let Some(data) = shared(&format!("data/{data}.npz")) else { return };
        let Hdf5Model::Model(model) = read_h5(&path) else { panic!("{file} has an architecture") };
        let network = from_keras(&model, file).unwrap();
        check(file, &network, &from_onnx(&parse_onnx(&twin), "twin").unwrap(), &images(&data, n));
    }
}

#[test]
fn weights_alone_take_the_architecture_of_an_onnx_file() {
    let Some(path) = shared("seed/keras/fashion_seq_large_w.h5") else { return };
    let Some(twin) = shared("seed/models/seq_large_fashion.onnx") else { return };
    let Some(data) = shared("data/fashion_mnist.npz") else { return };
    let Hdf5Model::Weights(weights) = read_h5(&path) else { panic!("it has weights alone") };
    let weights = weights.by_layer_name().unwrap();
    let twin = parse_onnx(&twin);
    let network =
        from_onnx_with_weights(twin.clone(), &weights, "weights", &Interface::default()).unwrap();
    check("weights", &network, &from_onnx(&twin, "twin").unwrap(), &images(&data, 200));

    let mut fewer = weights.clone();
    let conv = fewer.remove("conv2d_3").unwrap();
    let error = from_onnx_with_weights(twin.clone(), &fewer, "fewer", &Interface::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("`conv2d_3` (Conv): the weights file has no layer"), "{error}");
    let mut more = weights.clone();
    more.insert("conv2d_99".to_owned(), conv.clone());
    let error = from_onnx_with_weights(twin.clone(), &more, "more", &Interface::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("`conv2d_99`"), "{error}");
    let mut other = weights;
    other.insert("conv2d_1".to_owned(), conv);
    let error = from_onnx_with_weights(twin, &other, "other", &Interface::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("`conv2d_1` (Conv): `/conv2d_3/conv2d_3/kernel:0`"), "{error}");
}

/// What Keras computes with a network of `suite/keras`.
fn check_fixture(file: &str, cases: &str, graph: &Graph) {
    let cases = bytes(&project(&format!("suite/keras/{cases}.npz")));
    let mut cases = Npz::open(&cases, 1 << 20).unwrap();
    let (x, y) = (cases.read("x").unwrap(), cases.read("y").unwrap());
    let (ArrayData::F32(inputs), ArrayData::F32(outputs)) = (x.data, y.data) else {
        panic!("{file}: they are floats")
    };
    assert!(graph.input_shape().dims().ends_with(&x.shape[1..]), "{file}");
    assert_eq!(graph.output_shape().len(), y.shape[1], "{file}");
    let n = x.shape[0];
    for (x, y) in inputs.chunks_exact(inputs.len() / n).zip(outputs.chunks_exact(y.shape[1])) {
        let got = run_float(graph, x);
        let range = y.iter().fold(1.0_f32, |range, y| range.max(y.abs()));
        for (a, b) in got.iter().zip(y) {
            assert!((a - b).abs() <= 1e-5 * range, "{file}: {got:?} is not {y:?}");
        }
    }
}

#[test]
fn every_layer_and_option_computes_what_keras_computes() {
    for (file, cases) in [
        ("plain.h5", "plain"),
        ("plain_keras_2.h5", "plain"),
        ("plain.keras", "plain"),
        ("branches.h5", "branches"),
        ("branches.keras", "branches"),
        ("models.h5", "models"),
        ("models.keras", "models"),
        ("signal.h5", "signal"),
        ("signal.keras", "signal"),
        ("functions.keras", "functions"),
        ("maps.h5", "maps"),
        ("maps.keras", "maps"),
        ("quotients.h5", "quotients"),
        ("quotients.keras", "quotients"),
    ] {
        let path = project(&format!("suite/keras/{file}"));
        let model = if path.extension().is_some_and(|extension| extension == "h5") {
            let Hdf5Model::Model(model) = read_h5(&path) else { panic!("{file}") };
            model
        } else {
            keras::read_archive(&bytes(&path), 1 << 20).unwrap()
        };
        check_fixture(file, cases, &from_keras(&model, file).unwrap());
    }
    let Hdf5Model::Weights(weights) = read_h5(&project("suite/keras/plain.weights.h5")) else {
        panic!("it has weights alone")
    };
    let architecture = bytes(&project("suite/keras/plain.json"));
    let model = keras::read_architecture(&architecture).unwrap().with_weights(weights).unwrap();
    check_fixture("plain.weights.h5", "plain", &from_keras(&model, "plain").unwrap());
}

/// A network of `suite/keras` after a change to one layer.
fn changed(
    file: &str,
    layer: &str,
    change: impl FnOnce(&mut keras::Layer),
) -> Result<Graph, String> {
    let Hdf5Model::Model(mut model) = read_h5(&project(&format!("suite/keras/{file}.h5"))) else {
        panic!("{file} has an architecture")
    };
    change(model.layers.iter_mut().find(|l| l.name == layer).unwrap());
    from_keras(&model, file).map_err(|error| error.to_string())
}

#[test]
fn options_that_are_not_supported_are_refused_by_name() {
    for (file, layer, option, value, expected) in [
        ("maps", "cropped", "cropping", "[5, 0]", "takes no element"),
        ("maps", "cropped", "cropping", "[1, 2, 3]", "[[top, bottom], [left, right]]"),
        ("maps", "cropped", "data_format", "\"channels_first\"", "channels_last"),
        ("maps", "nearest", "interpolation", "\"bicubic\"", "`nearest` and `bilinear`"),
        ("maps", "nearest", "size", "[0, 2]", "`size`"),
        ("maps", "same", "padding", "\"causal\"", "supported are `valid` and `same`"),
        ("maps", "same", "groups", "2", "`groups`"),
        ("maps", "same", "strides", "[2, 2, 2]", "2 integers of at least 1"),
        ("maps", "signal", "kernel_size", "null", "`kernel_size` is missing"),
        ("maps", "permuted", "dims", "[3, 1, 1]", "each axis of its input once"),
        ("maps", "times", "n", "0", "`n`"),
        ("maps", "longer", "padding", "[1, -1]", "[first, last]"),
        ("maps", "shorter", "cropping", "400", "takes no element"),
        ("branches", "image", "batch_shape", "[null, null, 12, 2]", "`batch_shape`"),
        ("branches", "image", "batch_shape", "[null, 1048576, 1048576, 2]", "2^28"),
        ("branches", "image", "dtype", "\"int32\"", "`dtype` = \"int32\""),
        ("branches", "image", "sparse", "true", "`sparse`"),
        ("branches", "dilated", "data_format", "\"channels_first\"", "channels_last"),
        ("branches", "dilated", "padding", "\"causal\"", "`padding` = \"causal\""),
        ("branches", "dilated", "kernel_size", "[3, 5]", "instead of [3, 5, 2, 4]"),
        ("branches", "dilated", "kernel_size", "null", "`kernel_size` is missing"),
        ("branches", "dilated", "strides", "[0, 1]", "`strides`"),
        ("branches", "dilated", "filters", "-1", "`filters`"),
        ("branches", "dilated", "activation", "\"glu\"", "`activation` = \"glu\""),
        (
            "branches",
            "dilated",
            "activation",
            "{\"class_name\": \"Maxout\", \"config\": {}}",
            "Maxout",
        ),
        ("branches", "dilated", "use_bias", "true", "weight `bias` is not in the file"),
        ("branches", "dilated", "lora_rank", "4", "`lora_rank` is not supported"),
        ("branches", "grouped", "groups", "3", "`groups` = 3"),
        ("branches", "grouped", "use_bias", "false", "does not use the weight"),
        ("branches", "relu_slope_6", "threshold", "\"high\"", "`threshold`"),
        ("branches", "relu_slope_6", "max_value", "-1.0", "`max_value`"),
        ("branches", "leaky", "negative_slope", "\"steep\"", "`negative_slope`"),
        ("branches", "norm_no_scale", "axis", "1", "`axis` = 1"),
        ("branches", "norm_no_scale", "epsilon", "-10.0", "is not positive"),
        ("branches", "norm_no_scale", "renorm", "true", "`renorm`"),
        ("branches", "padded", "padding", "[[1, -2], [0, 3]]", "`padding`"),
        ("branches", "scaled", "scale", "[1.0, 2.0, 3.0]", "`scale`"),
        ("branches", "channels", "axis", "0", "`axis` = 0"),
        ("branches", "reshaped", "target_shape", "[2, -1, -1]", "`target_shape`"),
        ("branches", "reshaped", "target_shape", "[2, 5, 7]", "`target_shape`"),
        ("branches", "softmax_image", "axis", "1", "`axis` = 1"),
        ("branches", "softmax", "temperature", "2.0", "`temperature` is not supported"),
        ("branches", "classes", "quantization_config", "{}", "`quantization_config`"),
        ("branches", "classes", "units", "5", "shape [7, 4] instead of [7, 5]"),
        ("plain", "pool", "pool_size", "[2]", "`pool_size`"),
    ] {
        let value = serde_json::from_str(value).unwrap();
        let error = changed(file, layer, |layer| {
            layer.config.insert(option.to_owned(), value);
        })
        .unwrap_err();
        assert!(error.contains(&format!("`{layer}")), "{layer} {option}: {error}");
        assert!(error.contains(expected), "{layer} {option}: {error}");
    }
}

#[test]
fn layers_and_weights_that_do_not_fit_are_refused_by_name() {
    let refused = |change: fn(&mut keras::Layer), expected: &str| {
        let error = changed("plain", "conv", change).unwrap_err();
        assert!(error.contains("`conv`") && error.contains(expected), "{error}");
    };
    refused(
        |layer| layer.class = "Conv3D".to_owned(),
        "(Conv3D): the operator is not supported; let the",
    );
    refused(|layer| layer.class = "mine>Conv2D".to_owned(), "(mine>Conv2D): the operator is not");
    refused(|layer| layer.inputs = vec!["nowhere".to_owned()], "`nowhere`");
    refused(|layer| layer.inputs.clear(), "takes 0 values");
    refused(|layer| drop(layer.weights.pop()), "weight `bias` is not in the file");
    refused(|layer| layer.weights.swap(0, 1), "where `kernel` is expected");
    refused(|layer| layer.weights[1].data[2] = f32::NAN, "contains NaN at element 2");
    refused(|layer| layer.weights[0].shape = vec![3, 2, 12], "instead of [3, 2, 2, 6]");
    refused(|layer| layer.weights.push(layer.weights[1].clone()), "does not use the weight");
}
