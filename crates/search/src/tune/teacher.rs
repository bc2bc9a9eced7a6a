//! What the float network says of images without labels, and how far another is from that.

use crate::{
    error::SearchError,
    evaluate::{Images, log_softmax, of_classes},
    reconstruct::spread,
};
use fixedwise_fixed::convert::{count_to_f64, f64_to_f32};
use fixedwise_graph::{
    Graph, NodeId,
    run::{Program, Schedule, Workspace},
};
use fixedwise_kernels::Kernels;
use std::sync::OnceLock;

/// Images whose signal is taken, of outputs that count as values.
const SIGNAL: usize = 64;
/// The part of the images that are learned from of which the float network is certain. Chosen on one network of
/// Fashion-MNIST: every fifth of them is enough to keep what they hold.
const LEAST: f64 = 0.2;
/// How far class probabilities move with the logits, from where on every image is learned from: the most that they
/// can where two classes share all, 1/2.
const TELLING: f64 = 0.5;

/// An image to learn from.
#[derive(Clone, Debug)]
pub(super) struct Lesson {
    pub(super) image: usize,
    /// What the float network says of it, one output after the other.
    said: Box<[f32]>,
    /// The number of images that it stands for where it is drawn with one over that as probability.
    pub(super) weight: f32,
}

/// The float network, and images that it is asked about.
pub struct Teacher<'a> {
    graph: &'a Graph,
    program: Program,
    schedule: Schedule,
    images: &'a dyn Images,
    is_of_values: bool,
    /// By output, the mean over images of the sum of the squares of its values.
    signal: Vec<f64>,
    /// By image what it says, one output after the other; empty where that would take too much memory.
    said: Vec<OnceLock<Box<[f32]>>>,
}

impl std::fmt::Debug for Teacher<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teacher").field("images", &self.images.len()).finish_non_exhaustive()
    }
}

impl<'a> Teacher<'a> {
    /// Of a graph, with about so many bytes for what it says.
    ///
    /// # Errors
    /// Where there is no image.
    pub fn new(
        graph: &'a Graph,
        images: &'a dyn Images,
        kernels: &'static Kernels,
        is_of_values: bool,
        bytes: usize,
    ) -> Result<Self, SearchError> {
        if images.is_empty() {
            return Err(SearchError::NoImages { purpose: "tune" });
        }
        let outputs = graph.output_nodes();
        let elements: usize = outputs.iter().map(|&id| graph.nodes[id].shape.len()).sum();
        let is_kept = elements * images.len() * size_of::<f32>() <= bytes;
        let said = if is_kept { images.len() } else { 0 };
        let program = Program::float(graph, kernels);
        let mut teacher = Self {
            graph,
            schedule: program.schedule(&[], program.outputs()),
            program,
            images,
            is_of_values,
            signal: vec![1.0; outputs.len()],
            said: (0..said).map(|_| OnceLock::new()).collect(),
        };
        if is_of_values {
            teacher.signal = teacher.measure();
        }
        Ok(teacher)
    }

    fn measure(&self) -> Vec<f64> {
        let outputs = self.graph.output_nodes();
        let mut sums = vec![0.0; outputs.len()];
        let n = self.images.len().min(SIGNAL);
        for idx in 0..n {
            // Spread over all of them.
            let idx = idx * self.images.len() / n;
            let said = self.says(idx);
            let mut rest = &said[..];
            for (sum, &id) in sums.iter_mut().zip(&outputs) {
                let (own, others) = rest.split_at(self.graph.nodes[id].shape.len());
                *sum += own.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
                rest = others;
            }
        }
        let mean = |sum: f64| if sum > 0.0 { sum / count_to_f64(n) } else { 1.0 };
        sums.into_iter().map(mean).collect()
    }

    /// Images.
    pub(super) fn n_images(&self) -> usize {
        self.images.len()
    }

    /// One of them.
    pub(super) fn image(&self, idx: usize, image: &mut Vec<f32>) {
        image.resize(self.program.image_len(), 0.0);
        self.images.image(idx, image);
    }

    /// What there is to learn from an image: an image of which the float network is certain tells little.
    pub(super) fn lesson(&self, image: usize) -> Lesson {
        let said = self.says(image);
        let weight = if self.is_of_values {
            1.0
        } else {
            let mut rest = &said[..];
            let of_output = |&id: &NodeId| {
                let (own, others) = rest.split_at(self.graph.nodes[id].shape.len());
                rest = others;
                spread(own, false)
            };
            let spread: f64 = self.graph.output_nodes().iter().map(of_output).sum();
            f64_to_f32(1.0 / (LEAST + spread / TELLING).min(1.0))
        };
        Lesson { image, said, weight }
    }

    /// What the float network says of an image, one output after the other.
    fn says(&self, idx: usize) -> Box<[f32]> {
        let ask = || {
            let (mut image, mut workspace) = (Vec::new(), Workspace::new());
            self.image(idx, &mut image);
            self.program.run(&self.schedule, &mut workspace, &image, &[]);
            let mut said = Vec::new();
            for &id in self.program.outputs() {
                let value = self.program.value(&self.schedule, &workspace, id);
                let from = said.len();
                said.resize(from + value.len(), 0.0);
                value.copy_scaled(0, 1.0, &mut said[from..]);
            }
            said.into_boxed_slice()
        };
        match self.said.get(idx) {
            Some(said) => said.get_or_init(ask).clone(),
            None => ask(),
        }
    }

    /// How far outputs, `[image, element]` each, are from what it says of those images, summed over all that these stand
    /// for; and the gradients of that.
    ///
    /// Of classes it is the divergence of their probabilities, of values the distortion.
    pub(super) fn compare(&self, lessons: &[Lesson], outputs: &[Vec<f32>]) -> (f64, Vec<Vec<f32>>) {
        let mut total = 0.0;
        let mut from = 0;
        let of_output = |(i, values): (usize, &Vec<f32>)| {
            let n = values.len() / lessons.len().max(1);
            let mut gradient = Vec::with_capacity(values.len());
            for (lesson, values) in lessons.iter().zip(values.chunks_exact(n)) {
                let said = &lesson.said[from..from + n];
                let far = if self.is_of_values {
                    distortion(said, values, self.signal[i], &mut gradient)
                } else {
                    divergence(said, values, &mut gradient)
                };
                total += f64::from(lesson.weight) * far;
                let own = gradient.len() - n;
                gradient[own..].iter_mut().for_each(|g| *g *= lesson.weight);
            }
            from += n;
            gradient
        };
        let gradients = outputs.iter().enumerate().map(of_output).collect();
        (total, gradients)
    }
}

fn distortion(said: &[f32], values: &[f32], signal: f64, gradient: &mut Vec<f32>) -> f64 {
    let errors = said.iter().zip(values).map(|(t, y)| f64::from(*y) - f64::from(*t));
    gradient.extend(errors.clone().map(|error| f64_to_f32(2.0 * error / signal)));
    errors.map(|error| error * error).sum::<f64>() / signal
}

fn divergence(said: &[f32], values: &[f32], gradient: &mut Vec<f32>) -> f64 {
    let likely = |values: &[f32]| {
        log_softmax(of_classes(values.len(), values.iter().map(|&x| f64::from(x))))
    };
    let [p, q] = [said, values].map(likely);
    // One is the logit of the second of two classes.
    let from = p.len() - values.len();
    gradient.extend(p[from..].iter().zip(&q[from..]).map(|(p, q)| f64_to_f32(q.exp() - p.exp())));
    p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_the_distance() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-3 * (1.0 + b.abs());
        let said: [f32; 3] = [1.0, -0.5, 0.25];
        for n in [1, 3] {
            for of_values in [false, true] {
                let distance = |values: &[f32], gradient: &mut Vec<f32>| {
                    if of_values {
                        distortion(&said[..n], values, 2.0, gradient)
                    } else {
                        divergence(&said[..n], values, gradient)
                    }
                };
                let values = [0.25_f32, 0.5, -1.0];
                let mut gradient = Vec::new();
                let here = distance(&values[..n], &mut gradient);
                assert!(here > 0.0);
                for i in 0..n {
                    let mut beside = values;
                    beside[i] += 1e-3;
                    let there = distance(&beside[..n], &mut Vec::new());
                    assert!(
                        close((there - here) / 1e-3, gradient[i].into()),
                        "{n} {of_values} {i}"
                    );
                }
            }
        }
    }
}
