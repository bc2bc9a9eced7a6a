use super::histogram::Histogram;
use crate::{
    error::SearchError,
    evaluate::{
        Images,
        runner::{Job, Runner},
    },
};
use fixedwise_graph::{
    FormatRule, Graph, NodeId, Op,
    run::{Program, ValueRef},
};
use fixedwise_kernels::Kernels;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The distribution of every value of a graph over the calibration images.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// By node; empty where a node only moves values (reshapes, maxima).
    pub values: Vec<Histogram>,
    /// Calibration images.
    pub images: usize,
}

impl Statistics {
    /// Of one node's value.
    pub fn of(&self, node: NodeId) -> &Histogram {
        &self.values[node]
    }
}

/// Runs the float network over the images and counts every value.
///
/// `progress` is told, from any thread, how many images are done.
///
/// # Errors
/// Where there is no image, a value is not finite, or `stop` was raised.
pub fn calibrate(
    graph: &Graph,
    images: &dyn Images,
    kernels: &'static Kernels,
    stop: &AtomicBool,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Statistics, SearchError> {
    let n = images.len();
    if n == 0 {
        return Err(SearchError::NoImages { purpose: "calibrate" });
    }
    let program = Program::float(graph, kernels);
    let counted: Vec<bool> = graph.nodes.iter().map(|node| is_counted(&node.op)).collect();
    let empty = || vec![Histogram::new(); graph.nodes.len()];
    let done = AtomicUsize::new(0);
    // As many parts as there are threads: each part has histograms of its own.
    let part = n.div_ceil(rayon::current_num_threads());
    let runner = Runner::new(images, n, part, stop);
    let parts = runner.each_chunk_observed(
        &Job::whole(&program),
        runner.chunks(),
        |_| empty(),
        |values, _, (id, value)| {
            if let (true, ValueRef::F32(value)) = (counted[id], value) {
                values[id].add(value);
            }
        },
        |_, _| progress(done.fetch_add(1, Ordering::Relaxed) + 1),
    )?;
    let mut values = empty();
    for part in parts {
        values.iter_mut().zip(&part).for_each(|(sum, part)| sum.merge(part));
    }
    for (node, histogram) in graph.nodes.iter().zip(&values) {
        if histogram.not_finite() > 0 {
            let count = histogram.not_finite();
            return Err(SearchError::NotFinite { node: node.name.clone(), count });
        }
    }
    Ok(Statistics { values, images: n })
}

/// Whether a node computes values, rather than moving some of its input's.
pub(super) fn is_counted(op: &Op) -> bool {
    op.format_rule() != FormatRule::Moved
}
