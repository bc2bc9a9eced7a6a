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
const KEPT: f64 = 0.6;
/// As many times as many widths as were measured may be left for an estimate.
const SEEN: f64 = 8.0;

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

    /// The work begins `now`.
    pub(crate) fn begin(&mut self, now: f64) {
        self.at = now;
    }

    /// Seconds from `now` on, when so much is done and so much is left at most; nothing where too little was
    /// seen of what is left.
    pub(crate) fn left(&mut self, now: f64, done: Work, left: Work) -> Option<f64> {
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
        let is_seen = |pace: &Pace, left: usize| pace.n * SEEN >= count_to_f64(left);
        // The steps before a plan count as a part of it where none was measured alone.
        let is_known = is_seen(&self.widths, left.widths)
            && (left.plans == 0 || self.plans.n > 0.0)
            && (left.plans > 0 || left.steps == 0 || self.steps.n > 0.0);
        if !is_known {
            return None;
        }
        let left =
            self.widths.of(left.widths) + self.steps.of(left.steps) + self.plans.of(left.plans);
        Some(self.counted_down(now, left + self.tail))
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
        let left = left.map(|&(now, done, left)| (estimate.left(now, done, left), end - now));
        left.map(|(estimate, real)| (estimate.unwrap_or(f64::INFINITY), real)).collect()
    }

    /// The search of the README, on a busy machine; it began at 28 s, and the test images were run from 104.3 to 109.8 s.
    #[test]
    fn a_recorded_search_ends_within_what_was_told() {
        const END: f64 = 109.8;
        const TOLD: &[Told] = &[
            (29.84, work(0, 0, 1), work(67, 296, 24)),
            (30.14, work(4, 3, 1), work(63, 293, 24)),
            (30.80, work(8, 7, 1), work(59, 289, 24)),
            (32.51, work(12, 19, 1), work(55, 277, 24)),
            (34.47, work(16, 27, 1), work(51, 269, 24)),
            (35.44, work(20, 31, 1), work(47, 265, 24)),
            (36.49, work(24, 37, 1), work(43, 259, 24)),
            (39.00, work(28, 49, 1), work(39, 247, 24)),
            (40.37, work(32, 55, 1), work(35, 241, 24)),
            (41.05, work(36, 59, 1), work(31, 237, 24)),
            (42.28, work(40, 66, 1), work(27, 230, 24)),
            (44.56, work(44, 76, 1), work(23, 220, 24)),
            (45.41, work(48, 80, 1), work(19, 216, 24)),
            (46.02, work(52, 84, 1), work(15, 212, 24)),
            (47.20, work(56, 94, 1), work(11, 202, 24)),
            (48.41, work(60, 102, 1), work(7, 194, 24)),
            (48.59, work(64, 106, 1), work(3, 190, 24)),
            (48.59, work(66, 108, 1), work(1, 188, 24)),
            (48.61, work(67, 109, 1), work(0, 187, 24)),
            (50.56, work(67, 110, 2), work(0, 296, 22)),
            (52.25, work(67, 110, 3), work(0, 296, 21)),
            (54.08, work(67, 110, 4), work(0, 296, 20)),
            (55.78, work(67, 110, 5), work(0, 296, 19)),
            (57.52, work(67, 110, 6), work(0, 296, 18)),
            (59.02, work(67, 110, 7), work(0, 296, 17)),
            (60.94, work(67, 110, 8), work(0, 296, 16)),
            (62.51, work(67, 110, 9), work(0, 296, 15)),
            (65.85, work(67, 127, 10), work(0, 296, 14)),
            (68.70, work(67, 144, 11), work(0, 278, 13)),
            (75.05, work(67, 159, 15), work(0, 206, 9)),
            (78.05, work(67, 175, 16), work(0, 188, 8)),
            (80.89, work(67, 192, 17), work(0, 170, 7)),
            (83.91, work(67, 208, 18), work(0, 152, 6)),
            (86.90, work(67, 224, 19), work(0, 134, 5)),
            (90.37, work(67, 241, 20), work(0, 116, 4)),
            (95.57, work(67, 258, 22), work(0, 80, 2)),
            (101.45, work(67, 278, 24), work(0, 23, 0)),
            (102.09, work(67, 282, 24), work(0, 19, 0)),
            (102.93, work(67, 286, 24), work(0, 15, 0)),
            (103.74, work(67, 290, 24), work(0, 11, 0)),
            (103.75, work(67, 292, 24), work(0, 9, 0)),
        ];
        let mut estimate = Estimate::new(20.0, END - 104.3);
        estimate.begin(28.0);
        let mut last = f64::INFINITY;
        let (mut known, mut later) = (0, 0);
        for &(now, done, left) in TOLD {
            let Some(seconds) = estimate.left(now, done, left) else { continue };
            let real = END - now;
            assert!(seconds >= real - 1.0, "at {now}: at most {seconds}, really {real}");
            assert!(seconds <= 2.0 * real + 1.0, "at {now}: at most {seconds}, really {real}");
            known += 1;
            later += usize::from(now + seconds > last + 0.1);
            last = now + seconds;
        }
        assert!(known > 35, "{known}");
        // It counts down, but for a step where more is known.
        assert!(later <= 3, "{later}");
    }

    #[test]
    fn a_search_that_does_all_it_may_is_foreseen() {
        let all = estimates(&search(15, [0.1, 0.1, 2.0]));
        // Before the first plan nothing is known of plans.
        assert!(all[..40].iter().all(|(estimate, _)| estimate.is_infinite()), "{all:?}");
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
        // Of the end, which takes 1.5 seconds then, nothing was seen.
        let half = told[50].0;
        for (now, ..) in &mut told[50..] {
            *now = half + (*now - half) * 3.0;
        }
        let all = estimates(&told);
        for &(estimate, real) in &all[57..] {
            assert!(estimate >= 0.8 * real - 1.5, "{estimate} instead of {real}");
        }
    }

    #[test]
    fn what_follows_the_search_counts() {
        let mut estimate = Estimate::new(10.0, 5.0);
        let left = estimate.left(12.0, work(0, 0, 1), work(0, 0, 3)).unwrap();
        assert!((left - 11.0).abs() < 1e-9, "{left}");
        let left = estimate.left(14.0, work(0, 0, 2), Work::default()).unwrap();
        assert!((left - 5.0).abs() < 1e-9, "{left}");
    }
}
