//! How the weights of a layer make up for channels that it no longer gets: least squares over what calibration images give
//! it, the constant among its inputs.
//!
//! Taking out one channel after the other is the block form of the optimal brain surgeon (Hassibi and Stork, 1993): the
//! inverse of the second moments tells what a channel's absence costs once all others make up for it.

use super::{linear, patches::Patches};
use crate::{
    error::SearchError,
    evaluate::{
        Images,
        runner::{Job, Runner},
    },
    tuning::Tuning,
};
use fixedwise_fixed::convert::{count_to_f64, f64_to_f32};
use fixedwise_graph::{Graph, NodeId, Numbers, run::Program};
use fixedwise_kernels::Kernels;
use rayon::prelude::*;
use std::{collections::BTreeMap, sync::atomic::AtomicBool};

/// Images whose rows are held at once.
const TOGETHER: usize = 8;

/// Second moments of what a layer without groups takes in the float network, and of the constant 1 behind that.
#[derive(Debug)]
pub struct InputMoments {
    /// The lower triangle of `[depth + 1, depth + 1]`.
    gram: Vec<f32>,
    depth: usize,
}

/// The moments of some layers, all of one group.
///
/// # Errors
/// Where there is no image, or `stop` was raised.
pub fn input_moments(
    graph: &Graph,
    layers: &[NodeId],
    images: &dyn Images,
    kernels: &'static Kernels,
    stop: &AtomicBool,
    tuning: &Tuning,
) -> Result<BTreeMap<NodeId, InputMoments>, SearchError> {
    let n = images.len().min(tuning.calibration_images);
    if n == 0 {
        return Err(SearchError::NoImages { purpose: "calibrate" });
    }
    let looks: Vec<(NodeId, Patches, usize)> = layers
        .iter()
        .filter_map(|&id| {
            let patches = Patches::of(graph, id)?;
            let wanted =
                tuning.calibration_positions.max(tuning.positions_per_weight * patches.depth);
            let positions = wanted.div_ceil(n).min(patches.positions());
            Some((id, patches, positions))
        })
        .collect();
    let empty = |(_, patches, _): &(NodeId, Patches, usize)| InputMoments {
        gram: vec![0.0; (patches.depth + 1) * (patches.depth + 1)],
        depth: patches.depth,
    };
    let mut all: Vec<InputMoments> = looks.iter().map(empty).collect();
    let program = Program::float(graph, kernels);
    let single = Runner::new(images, n, 1, stop);
    for begin in (0..n).step_by(TOGETHER) {
        let rows = single.each_chunk_observed(
            &Job::whole(&program),
            begin..n.min(begin + TOGETHER),
            |_| vec![Vec::new(); looks.len()],
            |rows: &mut Vec<Vec<f32>>, idx, (id, value)| {
                for ((layer, patches, positions), rows) in looks.iter().zip(rows) {
                    if graph.nodes[*layer].main_input() != id {
                        continue;
                    }
                    rows.resize(positions * (patches.depth + 1), 0.0);
                    let places = patches.sample(*positions, idx);
                    for (at, row) in places.zip(rows.chunks_exact_mut(patches.depth + 1)) {
                        patches.row(value, 1.0, at, &mut row[..patches.depth]);
                        row[patches.depth] = 1.0;
                    }
                }
            },
            |_, _| (),
        )?;
        for (i, moments) in all.iter_mut().enumerate() {
            let rows: Vec<f32> = rows.iter().flat_map(|image| image[i].iter().copied()).collect();
            linear::add_gram(&mut moments.gram, &rows, moments.depth + 1);
        }
    }
    Ok(looks.iter().map(|(id, ..)| *id).zip(all).collect())
}

/// A layer whose weights and biases make up for inputs that were taken out.
#[derive(Clone, Debug)]
pub struct MadeUp {
    /// Inputs, with the constant.
    columns: usize,
    /// `[output channel, input]`, the bias last.
    weights: Vec<f64>,
    /// Of the moments of the inputs that are left, `[input, input]`.
    inverse: Vec<f64>,
    /// The variance of all results, in the unit of the moments.
    variance: f64,
}

impl MadeUp {
    /// A layer with all its inputs; `None` where their moments say nothing.
    pub fn new(
        moments: &InputMoments,
        weights: &[f32],
        bias: &[f32],
        tuning: &Tuning,
    ) -> Option<Self> {
        let InputMoments { gram, depth } = moments;
        let columns = depth + 1;
        let at = |i: usize, j: usize| f64::from(gram[i.max(j) * columns + i.min(j)]);
        let mean = (0..columns).map(|i| at(i, i)).sum::<f64>() / count_to_f64(columns);
        let all: Vec<usize> = (0..columns).collect();
        let factor = linear::Factor::new(gram, columns, &all, tuning.thin_damping * mean)?;
        let inverse = factor.inverse();
        let rows = weights.chunks_exact(*depth).zip(bias);
        let row = |(row, &bias): (&[f32], &f32)| {
            row.iter().map(|&w| f64::from(w)).chain([f64::from(bias)]).collect::<Vec<f64>>()
        };
        let weights: Vec<Vec<f64>> = rows.map(row).collect();
        let variance = |w: &Vec<f64>| {
            let of = |i: usize| w[i] * (0..columns).map(|j| at(i, j) * w[j]).sum::<f64>();
            let sum: f64 = (0..columns).map(|j| at(*depth, j) * w[j]).sum();
            (0..columns).map(of).sum::<f64>() - sum * sum / at(*depth, *depth).max(1.0)
        };
        let variance = weights.par_iter().map(variance).collect::<Vec<f64>>().iter().sum::<f64>();
        let is_known = variance.is_finite() && variance > 0.0;
        is_known.then(|| Self { columns, weights: weights.concat(), inverse, variance })
    }

    /// The part of the results' variance that goes with some inputs where all that are left make up for them; infinite where
    /// that is not known.
    pub fn error(&self, inputs: &[usize]) -> f64 {
        let Some(own) = self.moments_of(inputs) else { return f64::INFINITY };
        let n = inputs.len();
        let of = |row: &[f64]| {
            let w: Vec<f64> = inputs.iter().map(|&i| row[i]).collect();
            let product = |i: usize| w[i] * (0..n).map(|j| own[i * n + j] * w[j]).sum::<f64>();
            (0..n).map(product).sum::<f64>()
        };
        self.weights.chunks_exact(self.columns).map(of).sum::<f64>() / self.variance
    }

    /// Takes inputs out.
    pub fn remove(&mut self, inputs: &[usize]) {
        let Some(change) = self.change(inputs) else { return };
        let columns = self.columns;
        for rows in [&mut self.weights, &mut self.inverse] {
            rows.par_chunks_mut(columns).for_each(|row| take_out(row, inputs, &change));
        }
        for &input in inputs {
            self.inverse[input * columns..][..columns].fill(0.0);
        }
    }

    /// The layer without inputs, of which no more are taken out.
    #[must_use]
    pub fn without(mut self, inputs: &[usize]) -> Self {
        if let Some(change) = self.change(inputs) {
            let rows = self.weights.par_chunks_mut(self.columns);
            rows.for_each(|row| take_out(row, inputs, &change));
        }
        self
    }

    /// By input that is taken out, what is taken from a row for each unit of it.
    fn change(&self, inputs: &[usize]) -> Option<Vec<f64>> {
        let own = self.moments_of(inputs)?;
        let (n, columns) = (inputs.len(), self.columns);
        let mut change = vec![0.0; n * columns];
        change.par_chunks_mut(columns).enumerate().for_each(|(i, change)| {
            for (j, &input) in inputs.iter().enumerate() {
                let row = &self.inverse[input * columns..][..columns];
                change.iter_mut().zip(row).for_each(|(c, r)| *c += own[i * n + j] * r);
            }
        });
        Some(change)
    }

    /// What some inputs have of their own: the inverse of their part of the inverse.
    fn moments_of(&self, inputs: &[usize]) -> Option<Vec<f64>> {
        let at = |i: usize, j: usize| self.inverse[inputs[i] * self.columns + inputs[j]];
        linear::inverse(inputs.len(), at)
    }

    /// Its numbers for the outputs and inputs that stay.
    pub fn numbers(&self, outputs: &[bool], inputs: &[bool]) -> Numbers {
        let rows = self.weights.chunks_exact(self.columns).zip(outputs).filter(|(_, gone)| !**gone);
        let mut numbers = Numbers::default();
        for (row, _) in rows {
            let (weights, bias) = row.split_at(self.columns - 1);
            let kept = weights.iter().zip(inputs.iter().cycle()).filter(|(_, gone)| !**gone);
            numbers.weights.extend(kept.map(|(&w, _)| f64_to_f32(w)));
            numbers.bias.push(f64_to_f32(bias[0]));
        }
        numbers
    }
}

/// Takes inputs out of a row.
fn take_out(row: &mut [f64], inputs: &[usize], change: &[f64]) {
    let factors: Vec<f64> = inputs.iter().map(|&input| row[input]).collect();
    for (factor, change) in factors.iter().zip(change.chunks_exact(row.len())) {
        if *factor != 0.0 {
            row.iter_mut().zip(change).for_each(|(x, c)| *x -= factor * c);
        }
    }
    inputs.iter().for_each(|&input| row[input] = 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows `[a, b, a + b, 1]` of a small fixed pattern.
    fn moments() -> InputMoments {
        let mut gram = vec![0.0; 16];
        for i in 0..40_u16 {
            let (a, b) = (f32::from(i * 7 % 11) - 3.0, f32::from(i * 5 % 13) - 4.0);
            linear::add_gram(&mut gram, &[a, b, a + b, 1.0], 4);
        }
        InputMoments { gram, depth: 3 }
    }

    #[test]
    fn an_input_that_others_tell_costs_nothing() {
        let tuning = Tuning { thin_damping: 1e-7, ..Tuning::default() };
        let mut layer =
            MadeUp::new(&moments(), &[1.0, 0.0, 2.0, 0.0, 1.0, -1.0], &[0.5, 0.0], &tuning);
        let layer = layer.as_mut().unwrap();
        assert!(layer.error(&[2]) < 1e-3);
        layer.remove(&[2]);
        let numbers = layer.numbers(&[false; 2], &[false, false, true]);
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-2);
        assert!(near(&numbers.weights, &[3.0, 2.0, -1.0, 0.0]), "{numbers:?}");
        assert!(near(&numbers.bias, &[0.5, 0.0]));
        // Now nothing tells the first any more, and most of its variance goes with it.
        assert!(layer.error(&[0]) > 0.3);
        layer.remove(&[0]);
        assert_eq!(layer.numbers(&[true, false], &[true, false, true]).weights.len(), 1);
    }
}
