//! The time until the end of a search, from what its work has taken so far.

use fixedwise_fixed::convert::count_to_f64;
use fixedwise_search::strategies::Work;

/// The time until the end of a step or a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeLeft {
    /// Seconds.
    pub seconds: f64,
    /// Whether the end may come earlier: the search stops where nothing is left to gain.
    pub is_at_most: bool,
}

/// By how much of what was left, and by how many seconds, an estimate may be later than the one before
/// without being believed at once: a countdown that goes up and down says nothing.
const LATER_PART: f64 = 0.15;
const LATER_SECONDS: f64 = 2.0;
/// How much the plans before one weigh beside it: narrower plans and busier machines take another time.
const KEPT: f64 = 0.8;

/// When a search will end.
#[derive(Debug)]
pub(crate) struct Estimate {
    /// What was done, and when that was told.
    done: Work,
    at: f64,
    widths: Pace,
    steps: Pace,
    plans: Pace,
    /// What comes after the search.
    tail: f64,
    /// The end, as it was told last.
    end: Option<f64>,
}

/// How long work of a kind has taken.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    n: f64,
    seconds: f64,
}

impl Pace {
    /// Counts work; what was counted before then weighs `kept` times as much.
    fn add(&mut self, n: usize, seconds: f64, kept: f64) {
        self.n = self.n * kept + count_to_f64(n);
        self.seconds = self.seconds * kept + seconds;
    }

    fn of(&self, n: usize) -> f64 {
        if self.n > 0.0 { self.seconds / self.n * count_to_f64(n) } else { 0.0 }
    }
}

impl Estimate {
    /// Of a search that begins `now`; `tail` seconds of work follow it.
    pub(crate) fn new(now: f64, tail: f64) -> Self {
        Self {
            done: Work::default(),
            at: now,
            widths: Pace::default(),
            steps: Pace::default(),
            plans: Pace::default(),
            tail,
            end: None,
        }
    }

    /// Seconds from `now` on, when so much is done and so much is left at most.
    pub(crate) fn left(&mut self, now: f64, done: Work, left: Work) -> f64 {
        let new = Work {
            widths: done.widths.saturating_sub(self.done.widths),
            steps: done.steps.saturating_sub(self.done.steps),
            plans: done.plans.saturating_sub(self.done.plans),
        };
        let seconds = (now - self.at).max(0.0);
        if new.plans > 0 {
            // What tells which plan is next is no part of it.
            let steps = self.steps.of(new.steps).min(seconds);
            self.plans.add(new.plans, seconds - steps, KEPT);
        } else {
            self.widths.add(new.widths, seconds, 1.0);
            self.steps.add(new.steps, seconds, 1.0);
        }
        (self.done, self.at) = (done, now);
        let left =
            self.widths.of(left.widths) + self.steps.of(left.steps) + self.plans.of(left.plans);
        self.counted_down(now, left + self.tail)
    }

    /// The estimate that is told: it comes nearer at once, and goes away only where it must.
    fn counted_down(&mut self, now: f64, left: f64) -> f64 {
        let end = match self.end {
            Some(end) if left > end - now => {
                let told = (end - now).max(0.0);
                if left - told > LATER_SECONDS + LATER_PART * told {
                    now + left
                } else {
                    now + told
                }
            }
            _ => now + left,
        };
        self.end = Some(end);
        end - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a search told, at which second, and what was left then.
    type Told = (f64, Work, Work);

    const fn work(widths: usize, steps: usize, plans: usize) -> Work {
        Work { widths, steps, plans }
    }

    /// A search that measures 40 widths, 6 plans of the front and `exchanges` of 15 at most, each with 20
    /// steps; what each takes.
    fn search(exchanges: usize, seconds: [f64; 3]) -> Vec<Told> {
        const MOST: usize = 15;
        let [width, step, plan] = seconds;
        let (mut now, mut done, mut told) = (0.0, Work::default(), Vec::new());
        let mut tell = |now: f64, done: Work, left: Work| told.push((now, done, left));
        for i in 1..=40 {
            (now, done) = (now + width, work(i, i, 0));
            tell(now, done, work(40 - i, MOST * 20, 6 + MOST));
        }
        for i in 1..=6 {
            (now, done) = (now + plan, work(40, 40, i));
            tell(now, done, work(0, MOST * 20, 6 - i + MOST));
        }
        for i in 1..=exchanges {
            now += plan + 20.0 * step;
            done = work(40, 40 + 20 * i, 6 + i);
            tell(now, done, work(0, 20 * (MOST - i), MOST - i));
        }
        tell(now + 0.5, done, Work::default());
        told
    }

    /// What is estimated at each time, and what was really left then.
    fn estimates(told: &[Told]) -> Vec<(f64, f64)> {
        let mut estimate = Estimate::new(0.0, 0.0);
        let end = told.last().unwrap().0;
        let left = told.iter();
        left.map(|&(now, done, left)| (estimate.left(now, done, left), end - now)).collect()
    }

    #[test]
    fn a_search_that_does_all_it_may_is_foreseen() {
        let all = estimates(&search(15, [0.1, 0.1, 2.0]));
        // Before the first plan nothing is known of plans.
        for &(estimate, real) in &all[41..] {
            assert!((estimate - real).abs() <= 0.1 * real + 1.0, "{estimate} instead of {real}");
        }
        for pair in all[42..].windows(2) {
            assert!(pair[1].0 <= pair[0].0, "{pair:?}");
        }
    }

    #[test]
    fn a_search_that_ends_early_takes_no_longer_than_was_told() {
        for exchanges in [0, 3, 10] {
            let all = estimates(&search(exchanges, [0.1, 0.1, 2.0]));
            for &(estimate, real) in &all[41..] {
                assert!(estimate >= real - 1.0, "{exchanges}: {estimate} instead of {real}");
            }
            assert!(all.last().unwrap().0 < 1.0, "{all:?}");
        }
    }

    #[test]
    fn steps_that_get_slower_are_believed() {
        let mut told = search(15, [0.1, 0.1, 1.0]);
        let half = told[50].0;
        for (now, ..) in &mut told[50..] {
            *now = half + (*now - half) * 3.0;
        }
        let all = estimates(&told);
        for &(estimate, real) in &all[57..] {
            assert!(estimate >= 0.8 * real, "{estimate} instead of {real}");
        }
    }

    #[test]
    fn what_follows_the_search_counts() {
        let mut estimate = Estimate::new(10.0, 5.0);
        let left = estimate.left(12.0, work(0, 0, 1), work(0, 0, 3));
        assert!((left - 11.0).abs() < 1e-9, "{left}");
        let left = estimate.left(14.0, work(0, 0, 2), Work::default());
        assert!((left - 5.0).abs() < 1e-9, "{left}");
    }
}
