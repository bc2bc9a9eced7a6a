//! The integer network of a plan, run on images.

use super::{
    export::{ExportOptions, Network, integer_network},
    threads::pool,
};
use crate::{
    data::{DataOptions, DataSource, Declared, Preprocessed as _, Sets},
    error::{DataError, Error},
    model::{Model, ModelSource},
    plan::PlanSource,
};
use fixedwise_fixed::Format;
use fixedwise_graph::{
    FixedGraph,
    run::{Program, Workspace},
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{Images as _, MetricName};
use rayon::prelude::*;
use std::path::Path;

/// The integer network of a model and its plan.
///
/// It takes raw pixels: the declared preprocessing is part of it. Its integers are those of every export.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{ExportOptions, IntegerNetwork};
///
/// let (model, plan) =
///     (format!("{root}/models/fashion_small.onnx"), format!("{root}/suite/export/plan.toml"));
/// let network =
///     IntegerNetwork::open(model.as_ref(), plan.as_ref(), &ExportOptions::default())?;
/// let images = format!("{root}/data/fashion-mnist:test@0..3").parse()?;
/// let outputs = network.run(&images, None)?;
/// assert_eq!(outputs[0].shape, [3, 10]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IntegerNetwork {
    model: Model,
    declared: Declared,
    is_u8: Vec<bool>,
    fixed: FixedGraph,
    program: Program,
}

/// An output of an integer network on images.
#[derive(Clone, Debug, PartialEq)]
pub struct Integers {
    /// As the model's file calls it.
    pub name: String,
    /// The images, then the extents of the model's file.
    pub shape: Vec<usize>,
    /// What an integer `q` stands for: `q` times `2^-frac`.
    pub format: Format,
    /// In the order of the shape, the last axis fastest.
    pub values: Vec<i32>,
}

impl IntegerNetwork {
    /// The network of a model and a plan, from their files.
    ///
    /// # Errors
    /// As [`export`](crate::export()).
    pub fn open(model: &Path, plan: &Path, options: &ExportOptions) -> Result<Self, Error> {
        let model = ModelSource::File(model, options.architecture.as_deref(), &options.interface);
        let plan = PlanSource::File(plan);
        let target = options.target.clone();
        let target = target.map_or_else(|| plan.target(), |target| Ok(Some(target)))?;
        let Network { fixed, model, declared, is_u8 } =
            integer_network(model, plan, options, target.as_ref())?;
        let program = Program::fixed(&fixed, Kernels::best());
        Ok(Self { model, declared, is_u8, fixed, program })
    }

    /// Its inputs in the order of the file: names, extents of one image as `[h, w, c]`, and whether pixels are
    /// 8-bit integers.
    pub fn inputs(&self) -> Vec<(String, [usize; 3], bool)> {
        let inputs = self.model.inputs().into_iter().zip(&self.is_u8);
        inputs.map(|((name, shape), &is_u8)| (name, shape.dims(), is_u8)).collect()
    }

    /// Its outputs in the order of the file: names, extents of one image's, and formats.
    pub fn outputs(&self) -> Vec<(String, Vec<usize>, Format)> {
        let outputs = self.fixed.outputs.iter();
        let one = outputs.map(|output| {
            let node = &self.fixed.nodes[output.node];
            (output.name.clone(), output.extents(node.shape), node.format)
        });
        one.collect()
    }

    /// What it makes of images, output by output; on so many threads, by default as many as the machine has.
    ///
    /// # Errors
    /// [`Error`] for images that it does not take.
    #[expect(clippy::missing_panics_doc, reason = "values have at most 16 bits")]
    pub fn run(&self, images: &DataSource, threads: Option<usize>) -> Result<Vec<Integers>, Error> {
        // Labels do not count.
        let metric = Some(MetricName::Sqnr);
        let data = DataOptions { test: Some(images.clone()), metric, ..DataOptions::default() };
        let reported = Sets::load_test(&data, &self.model, self.declared.clone())?;
        let (_, is_u8) = reported.declared();
        if is_u8 != self.is_u8 {
            let kinds = |is_u8: &[bool]| {
                let kinds = is_u8.iter().map(|&is| if is { "8-bit integers" } else { "floats" });
                kinds.collect::<Vec<_>>().join(", ")
            };
            return Err(DataError::Missing(format!(
                "the integer network takes {}, as the images of its search were; `{images}` has {}",
                kinds(&self.is_u8),
                kinds(&is_u8)
            ))
            .into());
        }
        let images = &reported.images;
        let nodes = self.fixed.output_nodes();
        let schedule = self.program.schedule(&[], &nodes);
        let places: Vec<Vec<usize>> = self
            .fixed
            .outputs
            .iter()
            .map(|output| output.places(self.fixed.nodes[output.node].shape))
            .collect();
        let one = |(workspace, image): &mut (Workspace, Vec<f32>), idx: usize| {
            images.image(idx, image);
            self.program.run(&schedule, workspace, image, &[]);
            let of_output = |(&node, places): (&usize, &Vec<usize>)| -> Vec<i32> {
                let values = self.program.value(&schedule, workspace, node).integers();
                let exact = |q| i32::try_from(q).expect("a value has at most 16 bits");
                places.iter().map(|&place| exact(values[place])).collect()
            };
            nodes.iter().zip(&places).map(of_output).collect::<Vec<_>>()
        };
        let start = || (Workspace::new(), vec![0.0; self.program.image_len()]);
        let all: Vec<Vec<Vec<i32>>> = pool(threads)?
            .install(|| (0..images.len()).into_par_iter().map_init(start, one).collect());
        let outputs = self.outputs().into_iter().enumerate();
        let outputs = outputs.map(|(at, (name, extents, format))| {
            let shape = [&[images.len()], &extents[..]].concat();
            let values = all.iter().flat_map(|outputs| outputs[at].iter().copied()).collect();
            Integers { name, shape, format, values }
        });
        Ok(outputs.collect())
    }
}
