//! Weights as integers that together, not each alone, keep what a layer computes.

mod equalization;
mod linear;
mod moments;
mod patches;
mod rounding;

pub use equalization::{Balance, balance, channel_ranges};
pub use moments::{Calibration, CalibrationOptions};

use crate::error::SearchError;
use fixedwise_fixed::{Format, Range, convert::f64_to_f32};
use fixedwise_graph::{NodeId, Op, Plan, Rounded};
use rounding::{Rounder, bias_correction, bias_format};
use std::sync::Arc;

/// Part of the noise of a layer's result that its bias may add.
const BIAS_PART: f64 = 0.02;

/// What rounding may do.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundingOptions {
    /// Ranges of signed weights, the preferred one first.
    pub ranges: Vec<Range>,
    /// Whether weights make up for what earlier layers changed.
    pub compensate: bool,
}

/// What rounding a layer came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerError {
    /// The mean square of what the weights' rounding adds to the layer's sums.
    pub weights: f64,
}

/// Rounds the weights of one layer to `bits` and corrects and rounds its bias, where the layers
/// before it are as the plan says.
///
/// # Errors
/// Where the plan makes no integer network, or the stop flag was raised.
pub fn reconstruct(
    calibration: &Calibration,
    plan: &mut Plan,
    id: NodeId,
    bits: u8,
    options: &RoundingOptions,
) -> Result<LayerError, SearchError> {
    let layer = Layer::new(calibration, plan, id, options)?;
    Ok(layer.round(plan, bits, options))
}

/// A layer that can be rounded to any width.
pub struct Layer<'c> {
    calibration: &'c Calibration<'c>,
    id: NodeId,
    moments: moments::Moments,
    rounder: Rounder,
}

impl std::fmt::Debug for Layer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("node", &self.id).finish_non_exhaustive()
    }
}

impl<'c> Layer<'c> {
    /// Collects the moments of its input, where the layers before it are as the plan says.
    ///
    /// # Errors
    /// Where the plan makes no integer network, or the stop flag was raised.
    pub fn new(
        calibration: &'c Calibration<'c>,
        plan: &Plan,
        id: NodeId,
        options: &RoundingOptions,
    ) -> Result<Self, SearchError> {
        let moments = calibration.moments(id, plan)?;
        let weights = calibration.graph().nodes[id].op.weights().unwrap_or(&[]);
        let patches = calibration.patches(id);
        let rounder = Rounder::new(patches, weights, &moments, options.compensate);
        let rounder = rounder.ok_or_else(|| SearchError::NotFinite {
            node: calibration.graph().nodes[id].name.clone(),
            count: 1,
        })?;
        Ok(Self { calibration, id, moments, rounder })
    }

    /// Rounds its weights to `bits` and corrects and rounds its bias.
    ///
    /// # Panics
    /// Where the plan is of another graph.
    pub fn round(&self, plan: &mut Plan, bits: u8, options: &RoundingOptions) -> LayerError {
        let graph = self.calibration.graph();
        let node = &graph.nodes[self.id];
        let patches = self.calibration.patches(self.id);
        let weights = node.op.weights().unwrap_or(&[]);
        let integers = self.rounder.best(bits, &options.ranges);
        let correction = bias_correction(patches, weights, &self.moments, &integers);
        let rounded = Rounded {
            weights: integers.weights.clone(),
            exponents: vec![0; correction.len()],
            bias: correction.iter().map(|&b| f64_to_f32(b)).collect(),
        };
        let layer = plan.layer_mut(&node.name).expect("the plan is of this graph");
        layer.weights = Some(integers.format);
        let step = layer.activation.map_or(0.0, Format::resolution);
        let bias: Vec<f64> = match &node.op {
            Op::Conv(conv) => {
                conv.border_bias(graph.nodes[node.inputs[0]].shape, node.shape).values
            }
            op => op.bias().unwrap_or(&[]).iter().map(|&b| f64::from(b)).collect(),
        };
        let all = bias.iter().zip(correction.iter().cycle()).map(|(b, more)| b + more);
        let noise = BIAS_PART * (integers.error + step * step / 12.0);
        layer.bias = Some(bias_format(&all.collect::<Vec<_>>(), noise, 32, Range::Narrow));
        plan.rounded.insert(node.name.clone(), Arc::new(rounded));
        LayerError { weights: integers.error }
    }
}
