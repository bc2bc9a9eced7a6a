//! The network that the search works on: as it is, or its channels balanced.

use crate::{
    error::SearchError,
    evaluate::Images,
    reconstruct::{balance, channel_ranges, fit_steps},
    statistics::{Statistics, calibrate},
    tuning::Tuning,
};
use fixedwise_graph::{Graph, Plan, Rounded, passes::equalize};
use fixedwise_kernels::Kernels;
use std::sync::{Arc, atomic::AtomicBool};

/// The network that the search works on: as it is, or its channels balanced.
#[derive(Debug)]
pub struct Prepared {
    /// The equalized network.
    pub graph: Graph,
    /// By node, the scales of its channels.
    pub scales: Vec<Vec<f32>>,
    /// Ranges of its values.
    pub statistics: Statistics,
    /// How far its channels were balanced; absent where nothing was scaled.
    pub balance: Option<f64>,
    /// The network before channels were chosen to go, where some were: what plans must come close to.
    pub whole: Option<Graph>,
}

/// Balances the channels of a network, a `part` of the way, moves the steps of its tensors to where its
/// values want them and takes the ranges of its values.
///
/// # Errors
/// Where there is no image, a value is not finite, or `stop` was raised.
pub fn prepare(
    graph: &Graph,
    images: &dyn Images,
    kernels: &'static Kernels,
    stop: &AtomicBool,
    part: f64,
    tuning: &Tuning,
) -> Result<Prepared, SearchError> {
    let ranges = channel_ranges(graph, images, kernels, stop, tuning)?;
    let mut scales = balance(graph, &ranges, part, tuning);
    let statistics = calibrate(&equalize(graph, &scales), images, kernels, stop, &|_| ())?;
    fit_steps(&statistics, &mut scales, tuning);
    let graph = equalize(graph, &scales);
    let statistics = calibrate(&graph, images, kernels, stop, &|_| ())?;
    Ok(Prepared { graph, scales, statistics, balance: Some(part), whole: None })
}

impl Prepared {
    /// The network as it is.
    pub fn new(graph: &Graph, statistics: &Statistics) -> Self {
        let scales = vec![Vec::new(); graph.nodes.len()];
        Self {
            graph: graph.clone(),
            scales,
            statistics: statistics.clone(),
            balance: None,
            whole: None,
        }
    }

    /// The network that plans must come close to.
    pub fn float(&self) -> &Graph {
        self.whole.as_ref().unwrap_or(&self.graph)
    }

    /// A plan for the network before its channels were balanced, from one for that after.
    #[must_use]
    pub fn plan(&self, mut plan: Plan) -> Plan {
        for (id, node) in self.graph.layers() {
            let scales = &self.scales[id];
            if let (Some(rounded), false) = (plan.rounded.get_mut(&node.name), scales.is_empty()) {
                let scales = scales.clone();
                *rounded = Arc::new(Rounded { scales, ..Rounded::clone(rounded) });
            }
        }
        plan
    }
}
