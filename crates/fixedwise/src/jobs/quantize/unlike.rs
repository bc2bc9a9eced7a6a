//! Whether the calibration images look like the images that the plan is measured on.

use super::{
    Job,
    load::{Float, Loaded},
};
use crate::{jobs::first::most_named, show::short};
use fixedwise_fixed::convert::{count_to_f64, u64_to_f64};
use fixedwise_graph::Graph;
use fixedwise_kernels::Kernels;
use fixedwise_search::{Predictions, SearchError, Statistics, calibrate};

/// Images of either set that are looked at.
const IMAGES: usize = 64;
/// How many times the largest calibrated magnitude another may be: a format in which nothing clips has room for up to
/// twice.
const BEYOND: f32 = 2.0;
/// The part of the calibration images that one class is named for, and of the search images at most, where the former
/// show one class alone.
const ONE_CLASS: [f64; 2] = [0.95, 0.6];

impl Job<'_> {
    /// What tells that the calibration images are of another kind than the search images, where something does.
    ///
    /// # Errors
    /// Where a value is not finite, or the run was stopped.
    pub(super) fn unlike(
        &self,
        loaded: &Loaded,
        calibrated: &Statistics,
        float: &Float,
    ) -> Result<Option<String>, SearchError> {
        if loaded.sets.stated_ranges {
            return Ok(None);
        }
        let (graph, kernels) = (&loaded.graph, Kernels::best());
        let seen = calibrate(graph, &loaded.sets.search.some(IMAGES), kernels, self.stop, &|_| ())?;
        if let Some(text) = beyond(graph, calibrated, &seen) {
            return Ok(Some(text));
        }
        if self.options.max_loss.is_of_values() {
            return Ok(None);
        }
        let images = loaded.sets.calibration.some(IMAGES);
        let said = Predictions::new(loaded.model.graph(), &images, kernels, self.stop)?;
        Ok(one_class(&said.named(), &float.said.predictions.named()))
    }
}

/// Values far beyond what was calibrated.
fn beyond(graph: &Graph, calibrated: &Statistics, seen: &Statistics) -> Option<String> {
    let largest = |statistics: &Statistics, id| statistics.of(id).max_abs();
    let farthest = (0..graph.nodes.len())
        .filter(|&id| largest(seen, id) > BEYOND * largest(calibrated, id))
        .max_by(|&a, &b| {
            let times = |id| largest(seen, id) / largest(calibrated, id).max(f32::MIN_POSITIVE);
            times(a).total_cmp(&times(b)).then(b.cmp(&a))
        })?;
    Some(format!(
        "The calibration images do not look like the search images: `{}` reaches {} on those, {} on these. Give \
         calibration images of the same kind (--calibration), or more of them; there are {}.",
        graph.nodes[farthest].name,
        short(f64::from(largest(calibrated, farthest))),
        short(f64::from(largest(seen, farthest))),
        calibrated.images
    ))
}

/// Calibration images of one class, by how often each class is named in either set.
fn one_class(calibration: &[usize], search: &[usize]) -> Option<String> {
    let [class, most] = most_named(calibration)?;
    let part = |n: f64, named: &[usize]| n / count_to_f64(named.iter().sum::<usize>().max(1));
    let of_search = usize::try_from(class).ok().and_then(|class| search.get(class).copied())?;
    let [least, at_most] = ONE_CLASS;
    let is_one = part(u64_to_f64(most), calibration) >= least
        && part(count_to_f64(of_search), search) <= at_most;
    is_one.then(|| {
        format!(
            "The calibration images do not look like the search images: the float network names class {class} for \
             nearly all of them. Give calibration images of all classes (--calibration)."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_one_class_are_named() {
        assert!(one_class(&[0, 64, 0], &[20, 20, 20]).is_some_and(|text| text.contains("class 1")));
        assert_eq!(one_class(&[2, 62, 0], &[20, 20, 20]).map(|_| ()), Some(()));
        assert_eq!(one_class(&[20, 24, 20], &[20, 20, 20]), None);
        assert_eq!(one_class(&[0, 64], &[1, 63]), None);
        assert_eq!(one_class(&[], &[]), None);
    }
}
