//! A training from beginning to end.

use super::{
    student::{Optimizer, Student},
    teacher::{Lesson, Teacher},
};
use crate::{error::SearchError, random::random};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64, f64_to_count, f64_to_f32};
use fixedwise_graph::run::{Differentiable, LayerGradients};
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Images of a step.
pub(super) const BATCH: usize = 64;
/// Images that one thread runs at a time; their gradients are added in this order.
const PART: usize = 8;
/// The part of a training in which the rate rises.
const WARM_UP: f64 = 0.05;

/// How long and how fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// Steps of Adam, each on 64 images.
    pub steps: usize,
    /// The highest rate: the change of a weight in a step, as a part of the root mean square of all, and of a bias in
    /// steps of the result.
    pub rate: f64,
    /// Of the order of the images.
    pub seed: u64,
}

/// What came of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// Steps that were done.
    pub steps: usize,
    /// Images that were learned from.
    pub images: u64,
    /// The mean distance from the float network in the last eighth of the steps, over the images of which these were drawn.
    pub distance: f64,
    /// Whether it was broken off.
    pub is_stopped: bool,
}

/// Trains a student. `told` is called with the steps done after each; it tells how many there are in all, and may break
/// the training off.
///
/// # Errors
/// Where the student is no integer network.
pub fn train(
    network: &Differentiable,
    student: &mut Student,
    teacher: &Teacher,
    course: Course,
    told: &mut dyn FnMut(usize) -> ControlFlow<(), usize>,
) -> Result<Trained, SearchError> {
    let mut optimizer = Optimizer::new(student);
    let mut order = Order::new(teacher.n_images(), course.seed);
    let mut trained = Trained { steps: 0, images: 0, distance: f64::INFINITY, is_stopped: false };
    let (mut sum, mut summed) = (0.0, 0.0);
    let (mut step, mut steps) = (0, course.steps);
    while step < steps {
        let batch = order.next(teacher);
        let (distance, gradients) = gradients(network, student, teacher, &batch)?;
        let rate = course.rate * rate_at(step, steps);
        optimizer.step(student, &gradients, f64_to_f32(rate));
        trained.images += count_to_u64(batch.len());
        if 8 * (steps - step) <= steps.max(8) {
            sum += distance;
            summed += batch.iter().map(|lesson| f64::from(lesson.weight)).sum::<f64>();
        }
        step += 1;
        match told(step) {
            ControlFlow::Continue(in_all) => steps = in_all,
            ControlFlow::Break(()) => {
                trained.is_stopped = step < steps;
                break;
            }
        }
    }
    trained.steps = step;
    if summed > 0.0 && student.is_finite() {
        trained.distance = sum / summed;
    }
    Ok(trained)
}

/// A line up, then half a cosine down to zero.
fn rate_at(step: usize, steps: usize) -> f64 {
    let at = count_to_f64(step) / count_to_f64(steps.max(1));
    let up = (count_to_f64(step + 1) / (WARM_UP * count_to_f64(steps)).max(1.0)).min(1.0);
    up * 0.5 * (1.0 + (std::f64::consts::PI * at).cos())
}

/// The distance of a student on some images, summed over all that they stand for, and its gradients.
fn gradients(
    network: &Differentiable,
    student: &Student,
    teacher: &Teacher,
    batch: &[Lesson],
) -> Result<(f64, Vec<LayerGradients>), SearchError> {
    let trained = network.network(&student.plan())?;
    let parts: Vec<(f64, Vec<LayerGradients>)> = batch
        .par_chunks(PART)
        .map(|part| {
            let mut images = vec![Vec::new(); part.len()];
            for (image, lesson) in images.iter_mut().zip(part) {
                teacher.image(lesson.image, image);
            }
            let images: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
            let mut distance = 0.0;
            let gradients = trained.run(&images, |outputs| {
                let (far, gradients) = teacher.compare(part, outputs);
                distance = far;
                gradients
            });
            (distance, gradients)
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    for (distance, gradients) in parts {
        sum.0 += distance;
        for (sum, more) in sum.1.iter_mut().zip(&gradients) {
            sum.weights.iter_mut().zip(&more.weights).for_each(|(sum, more)| *sum += more);
            sum.bias.iter_mut().zip(&more.bias).for_each(|(sum, more)| *sum += more);
        }
    }
    Ok(sum)
}

/// All images in a random order, then in another one.
struct Order {
    images: Vec<usize>,
    at: usize,
    seed: u64,
    /// Drawn for the next step.
    waiting: Vec<Lesson>,
}

impl Order {
    fn new(images: usize, seed: u64) -> Self {
        let seed = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let images = (0..images).collect();
        let mut order = Self { images, at: 0, seed, waiting: Vec::new() };
        order.shuffle();
        order
    }

    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(1);
        random(self.seed)
    }

    fn shuffle(&mut self) {
        for i in (1..self.images.len()).rev() {
            let j = f64_to_count(self.random() * count_to_f64(i + 1)).min(i);
            self.images.swap(i, j);
        }
        self.at = 0;
    }

    /// As many images as a step has; fewer where there are fewer.
    fn part(&mut self) -> Vec<usize> {
        let n = BATCH.min(self.images.len());
        if self.at + n > self.images.len() {
            self.shuffle();
        }
        self.at += n;
        self.images[self.at - n..self.at].to_vec()
    }

    /// What the next step learns from: images are passed over the more often the less they tell, and those that are not
    /// stand for them.
    fn next(&mut self, teacher: &Teacher) -> Vec<Lesson> {
        let n = BATCH.min(self.images.len());
        while self.waiting.len() < n {
            let part = self.part();
            let lessons: Vec<Lesson> = part.par_iter().map(|&idx| teacher.lesson(idx)).collect();
            for lesson in lessons {
                if self.random() * f64::from(lesson.weight) < 1.0 {
                    self.waiting.push(lesson);
                }
            }
        }
        self.waiting.drain(..n).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Images;
    use fixedwise_graph::{Semantics, Shape, passes};
    use fixedwise_kernels::Kernels;
    use fixedwise_testing::Build;

    /// Every other one is far from all others of its kind: the network is certain of its class.
    struct Mixed;

    impl Mixed {
        const N: usize = 2 * BATCH;
    }

    impl Images for Mixed {
        fn len(&self) -> usize {
            Self::N
        }

        fn image(&self, idx: usize, out: &mut [f32]) {
            out.fill(if idx.is_multiple_of(2) { 1000.0 } else { 0.0 });
        }

        fn label(&self, _: usize) -> Option<usize> {
            None
        }
    }

    #[test]
    fn images_that_tell_are_drawn_more_often_and_all_count_alike() {
        let mut b = Build::new(Shape::new(1, 1, 4), 3);
        b.gemm("dense", 0, 3);
        let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
        for is_of_values in [false, true] {
            let teacher = Teacher::new(&graph, &Mixed, Kernels::best(), is_of_values, 1 << 20);
            let teacher = teacher.unwrap();
            let mut order = Order::new(Mixed::N, 1);
            let (mut drawn, mut weights) = ([0_u32; 2], [0.0; 2]);
            for lesson in (0..40).flat_map(|_| order.next(&teacher)) {
                drawn[lesson.image % 2] += 1;
                weights[lesson.image % 2] += f64::from(lesson.weight);
            }
            assert_eq!(drawn[0] + drawn[1], 40 * 64);
            let ratio = weights[0] / weights[1];
            assert!((0.85..1.15).contains(&ratio), "{drawn:?}, {weights:?}");
            assert_eq!(2 * drawn[0] < drawn[1], !is_of_values, "{drawn:?}");
        }
    }

    #[test]
    fn every_image_comes_once_a_round() {
        let mut order = Order::new(3 * BATCH, 7);
        let mut seen: Vec<usize> = (0..3).flat_map(|_| order.part()).collect();
        assert_ne!(seen, (0..3 * BATCH).collect::<Vec<_>>());
        seen.sort_unstable();
        assert_eq!(seen, (0..3 * BATCH).collect::<Vec<_>>());
        assert_eq!(Order::new(5, 0).part().len(), 5);
    }

    #[test]
    fn the_rate_rises_and_falls_to_zero() {
        let rates: Vec<f64> = (0..100).map(|step| rate_at(step, 100)).collect();
        assert!(rates[0] < 0.3 && rates[5] > 0.95 && rates[50] < 0.52 && rates[99] < 1e-3);
    }
}
