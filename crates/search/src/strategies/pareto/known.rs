//! Where the bound lies among plans that were measured.

use crate::strategies::outcome::FrontPlan;

/// The divergence at which a plan's loss comes to a bound, between plans that were measured.
pub(super) fn divergence_at(front: &[FrontPlan], limit: f64) -> Option<f64> {
    let mut points: Vec<(f64, f64)> =
        front.iter().map(|plan| (plan.divergence, plan.held_loss)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    // A plan that diverges more and happens to lose less says that the others were unlucky.
    let mut least = f64::INFINITY;
    for (_, held) in points.iter_mut().rev() {
        least = least.min(*held);
        *held = least;
    }
    let next = points.iter().position(|&(_, held)| held > limit);
    match next {
        None => points.last().map(|&(divergence, held)| divergence * limit / held.max(1e-9)),
        Some(0) => points.first().map(|&(divergence, held)| divergence * limit / held.max(1e-9)),
        Some(next) => {
            let ((below, least), (above, most)) = (points[next - 1], points[next]);
            Some(below + (above - below) * (limit - least) / (most - least).max(1e-12))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_lies_between_what_was_measured() {
        let plan =
            |divergence, held_loss| FrontPlan { divergence, held_loss, ..FrontPlan::default() };
        let front = vec![plan(0.01, 0.005), plan(0.03, 0.015), plan(0.02, 0.02)];
        // The unlucky one counts as much as the next.
        let at = |limit| divergence_at(&front, limit).unwrap();
        assert!((at(0.010) - 0.015).abs() < 1e-12, "{}", at(0.010));
        assert!((at(0.0025) - 0.005).abs() < 1e-12);
        assert!((at(0.030) - 0.06).abs() < 1e-12);
        assert_eq!(divergence_at(&[], 0.01), None);
    }
}
