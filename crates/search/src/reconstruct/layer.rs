//! One layer, rounded to any width for what it really takes.

use super::{
    bias::{bias_format, correct, given_format},
    moments::Calibration,
    options::{Method, RoundingOptions},
    rounding::Rounder,
};
use crate::error::SearchError;
use fixedwise_fixed::Format;
use fixedwise_graph::{NodeId, Plan, Rounded};
use std::sync::Arc;

/// A layer that can be rounded to any width.
pub struct Layer<'c> {
    calibration: &'c Calibration<'c>,
    id: NodeId,
    rounder: Rounder,
}

impl std::fmt::Debug for Layer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("node", &self.id).finish_non_exhaustive()
    }
}

impl<'c> Layer<'c> {
    /// Collects the moments of its input, where the layers before it are as the plan says, if the method wants them.
    ///
    /// # Errors
    /// Where the plan makes no integer network, or the stop flag was raised.
    pub fn new(
        calibration: &'c Calibration<'c>,
        plan: &Plan,
        id: NodeId,
        options: &RoundingOptions,
    ) -> Result<Self, SearchError> {
        let node = &calibration.graph().nodes[id];
        let weights = node.op.weights().unwrap_or(&[]);
        let patches = calibration.patches(id);
        let (tuning, kernels) = (calibration.tuning(), calibration.kernels());
        if options.method == Method::Nearest {
            let rounder = Rounder::nearest(patches, weights, tuning, kernels);
            return Ok(Self { calibration, id, rounder });
        }
        let moments = calibration.moments(id, plan)?;
        let rounder = Rounder::new(patches, weights, &moments, options.compensate, tuning, kernels);
        let not_finite = || SearchError::NotFinite { node: node.name.clone(), count: 1 };
        Ok(Self { calibration, id, rounder: rounder.ok_or_else(not_finite)? })
    }

    /// Rounds its weights to `bits`, corrects its bias and gives it a format.
    ///
    /// # Errors
    /// Where the plan makes no integer network, or the stop flag was raised.
    ///
    /// # Panics
    /// Where the plan is of another graph.
    pub fn round(
        &self,
        plan: &mut Plan,
        bits: u8,
        options: &RoundingOptions,
    ) -> Result<(), SearchError> {
        let graph = self.calibration.graph();
        let node = &graph.nodes[self.id];
        let point = options.points.get(&node.name).copied();
        let integers = self.rounder.best(bits, point, options);
        let channels = node.shape.c;
        let rounded = Rounded {
            weights: integers.weights,
            scales: vec![1.0; channels],
            bias: vec![0.0; channels],
            coarser: integers.coarser,
        };
        let layer = plan.layer_mut(&node.name).expect("the plan is of this graph");
        layer.weights = Some(integers.format);
        let step = layer.activation.map_or(0.0, Format::resolution);
        plan.rounded.insert(node.name.clone(), Arc::new(rounded));
        if options.method == Method::Feedback {
            correct(self.calibration, plan, self.id)?;
        }

        let noise = self.calibration.tuning().bias_noise * (integers.error + step * step / 12.0);
        let bias = plan.rounded[&node.name].bias(&graph.biases(self.id));
        let format = bias_format(&bias, noise, 32, options.bias_range);
        let format = match options.biases.get(&node.name) {
            Some(&given) => given_format(given, &bias, format),
            None => Some(format),
        };
        plan.layer_mut(&node.name).expect("it was there").bias = format;
        Ok(())
    }
}
