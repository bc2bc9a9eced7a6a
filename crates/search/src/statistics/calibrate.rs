use super::histogram::Histogram;
use crate::{error::SearchError, evaluate::Images};
use fixedwise_graph::{
    FormatRule, Graph, NodeId, Op,
    run::{Program, ValueRef, Workspace},
};
use fixedwise_kernels::Kernels;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Images a thread works through at a time.
const CHUNK: usize = 32;

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
    let everything: Vec<NodeId> = (0..graph.nodes.len()).collect();
    let schedule = program.schedule(&[], &[graph.output]);
    let counted: Vec<bool> = everything.iter().map(|&id| is_counted(&graph.nodes[id].op)).collect();
    let empty = || vec![Histogram::new(); graph.nodes.len()];
    let done = AtomicUsize::new(0);
    // As many parts as there are threads: each part has histograms of its own.
    let part = n.div_ceil(rayon::current_num_threads()).next_multiple_of(CHUNK);
    let values = (0..n.div_ceil(part))
        .into_par_iter()
        .map(|part_idx| {
            let mut values = empty();
            let mut workspace = Workspace::new();
            let mut image = vec![0.0; program.image_len()];
            let range = part_idx * part..n.min((part_idx + 1) * part);
            for (i, idx) in range.enumerate() {
                if i % CHUNK == 0 && stop.load(Ordering::Relaxed) {
                    return Err(SearchError::Stopped);
                }
                images.image(idx, &mut image);
                program.run_observed(&schedule, &mut workspace, &image, &[], |id, value| {
                    if let (true, ValueRef::F32(value)) = (counted[id], value) {
                        values[id].add(value);
                    }
                });
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
            Ok(values)
        })
        .try_reduce(empty, |mut sum, values| {
            sum.iter_mut().zip(&values).for_each(|(sum, values)| sum.merge(values));
            Ok(sum)
        })?;
    for (node, histogram) in graph.nodes.iter().zip(&values) {
        if histogram.not_finite() > 0 {
            let count = histogram.not_finite();
            return Err(SearchError::NotFinite { node: node.name.clone(), count });
        }
    }
    Ok(Statistics { values, images: n })
}

/// Whether a node computes values, rather than moving some of its input's.
fn is_counted(op: &Op) -> bool {
    op.format_rule() != FormatRule::Moved
}
