//! Float results equal the ONNX package's own cases and whole networks run by ONNX Runtime
//! (`suite/`), before and after the passes.

use fixedwise_codec::{
    npz::{ArrayData, read_npy},
    onnx::{self, Dim},
};
use fixedwise_graph::{Graph, Semantics, from_onnx, passes};
use fixedwise_testing::run_float;
use std::{fs::File, io::Read, path::PathBuf};
use zip::ZipArchive;

/// Largest difference allowed, relative to the range of the expected output.
const TOLERANCE: f32 = 1e-4;
/// Some of the package's cases write their numbers with four decimals.
const DECIMALS: f32 = 5e-5;

struct Archive(ZipArchive<File>);

impl Archive {
    fn open(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../suite").join(name);
        Self(ZipArchive::new(File::open(path).unwrap()).unwrap())
    }

    fn cases(&self) -> Vec<String> {
        let names = self.0.file_names().map(|name| name.unwrap().to_string());
        let mut cases: Vec<String> =
            names.filter_map(|name| name.strip_suffix("/model.onnx").map(str::to_owned)).collect();
        cases.sort();
        cases
    }

    fn file(&mut self, case: &str, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.by_name(&format!("{case}/{name}")).ok()?.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    /// Extents and elements of a `.npy` file.
    fn array(&mut self, case: &str, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let array = read_npy(&self.file(case, name)?, 1 << 28).unwrap();
        let ArrayData::F32(data) = array.data else { panic!("{case}: {name} holds no floats") };
        Some((array.shape, data))
    }
}

/// One image from channels first (`[c, h, w]`, `[c, w]` or `[c]`) to channels last.
fn channels_last(image: &[f32], dims: &[usize]) -> Vec<f32> {
    let channels = dims[0];
    let pixels = image.len() / channels;
    (0..image.len()).map(|i| image[i % channels * pixels + i / channels]).collect()
}

/// Whether the model's input is channels last: the importer follows the operators that take it.
fn is_channels_last(model: &onnx::Model, graph: &Graph) -> bool {
    let shape = graph.input_shape();
    let is = |dims: &[usize]| {
        let of_image = model.graph.inputs[0].dims.iter().skip(1);
        of_image.eq(dims.iter().map(|&d| Dim::Known(d)).collect::<Vec<_>>().iter())
    };
    match model.graph.inputs[0].dims.len() {
        3 => is(&[shape.w, shape.c]) && !is(&[shape.c, shape.w]),
        4 => is(&[shape.h, shape.w, shape.c]) && !is(&[shape.c, shape.h, shape.w]),
        _ => false,
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// What is wrong with one case.
fn check(archive: &mut Archive, case: &str) -> Result<(), String> {
    let bytes = archive.file(case, "model.onnx").unwrap();
    let model = onnx::parse_model(&bytes, &|_| Err("no external data".to_owned()))
        .map_err(|e| e.to_string())?;
    let graph = from_onnx(&model, case).map_err(|e| e.to_string())?;
    let (input_dims, input) = archive.array(case, "input.npy").unwrap_or_else(|| {
        let n: u16 = 3 * 224 * 56; // The light networks' input: see `suite/README.md`.
        let n = usize::from(n) * 4;
        let element = |i: usize| {
            fixedwise_fixed::convert::count_to_f64(i) / fixedwise_fixed::convert::count_to_f64(n)
        };
        (
            vec![1, 3, 224, 224],
            (0..n).map(|i| fixedwise_fixed::convert::f64_to_f32(element(i))).collect(),
        )
    });
    let (_, output) = archive.array(case, "output.npy").unwrap();
    let range = output.iter().fold(0.0_f32, |m, y| m.max(y.abs()));
    let n_images = input.len() / graph.input_shape().len();
    let mut graphs = vec![("as imported", graph.clone())];
    if passes::left_out(&graph, graph.output()).is_none() {
        for semantics in [Semantics::Integer, Semantics::Simulated] {
            graphs.push((
                semantics.name(),
                passes::prepare(&graph, semantics).map_err(|e| e.to_string())?,
            ));
        }
    }
    for (image, expected) in
        input.chunks_exact(input.len() / n_images).zip(output.chunks_exact(output.len() / n_images))
    {
        let image = if is_channels_last(&model, &graph) {
            image.to_vec()
        } else {
            channels_last(image, &input_dims[1..])
        };
        for (what, graph) in &graphs {
            let result = &graph.outputs()[0];
            let shape = graph.nodes[result.node].shape;
            let found = result.in_order_of_file(shape, &run_float(graph, &image));
            let difference = largest_difference(&found, expected);
            if difference.is_nan() || difference > TOLERANCE * range + DECIMALS {
                return Err(format!("{what}: differs by {difference} in a range of {range}"));
            }
        }
    }
    Ok(())
}

fn check_all(name: &str, expected: &[&str]) {
    let mut archive = Archive::open(name);
    let cases = archive.cases();
    assert_eq!(cases, expected, "{name} holds the cases that are claimed");
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| check(&mut archive, case).err().map(|e| format!("{case}: {e}")))
        .collect();
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn every_claimed_case_of_the_onnx_package_is_right() {
    let mut claimed: Vec<&str> = include_str!("../../../../suite/onnx-node.txt").lines().collect();
    claimed.sort_unstable();
    check_all("onnx-node.zip", &claimed);
}

#[test]
fn whole_networks_are_right() {
    let mut archive = Archive::open("light.zip");
    let cases = archive.cases();
    assert!(cases.len() >= 9, "{cases:?}");
    for case in cases {
        check(&mut archive, &case).unwrap_or_else(|e| panic!("{case}: {e}"));
    }
}
