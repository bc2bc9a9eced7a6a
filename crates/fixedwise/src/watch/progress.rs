//! What a run tells while it goes on, and how it is ended early.

use super::remaining::TimeLeft;
use crate::result::{FloatResult, PreprocessingResult, RunResult};
use fixedwise_search::strategies::pareto::FrontPlan;
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

/// Someone who is told how far a run is; any `Fn(&Progress)` is one, and so is `()`.
pub trait Observer: Sync {
    /// Is told, possibly often and from several threads.
    fn progress(&self, progress: &Progress);
}

impl<F: Fn(&Progress) + Sync> Observer for F {
    fn progress(&self, progress: &Progress) {
        self(progress);
    }
}

impl Observer for () {
    fn progress(&self, _: &Progress) {}
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Since the start.
    pub seconds: f64,
    /// What it does.
    pub step: Step,
}

/// What a run does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Reads model and data.
    Loading,
    /// Runs the float network to see the range of every value.
    Calibrating {
        /// Images done.
        done: usize,
        /// Images in all.
        total: usize,
    },
    /// Measures the float network on the search images.
    MeasuringFloat {
        /// Images in all.
        images: usize,
    },
    /// Has measured the float network: the first result of a run.
    MeasuredFloat {
        /// What the network is fed.
        preprocessing: PreprocessingResult,
        /// What it makes of that.
        float: FloatResult,
    },
    /// Tells of something that looks wrong; the run goes on.
    Warned {
        /// What, and what helps.
        warning: String,
    },
    /// Begins to search, and tells what is known of the run before that: the network, the images, the bound, the
    /// costs at uniform 8 bit.
    Known(Box<RunResult>),
    /// Tries which output channels the network can do without.
    Thinning {
        /// Layers done.
        done: usize,
        /// Layers in all.
        total: usize,
    },
    /// Tries how far channels are balanced.
    Balancing {
        /// Steps done.
        done: usize,
        /// Steps in all.
        total: usize,
    },
    /// Measures what each width of each tensor does alone.
    Probing {
        /// Steps of the search done.
        done: usize,
        /// Steps in all at most.
        total: usize,
        /// Until the end of the run.
        time_left: Option<TimeLeft>,
    },
    /// Measures what the loss of the answer comes from.
    Explaining {
        /// Nodes done.
        done: usize,
        /// Nodes in all.
        total: usize,
        /// Until the end of the run.
        time_left: Option<TimeLeft>,
    },
    /// Rounds the weights of a plan, layer after layer.
    Rounding {
        /// Layers done.
        done: usize,
        /// Layers in all.
        total: usize,
    },
    /// Tells that a budget of memory cannot be met, and that the nearest answer is searched.
    OutOfReach {
        /// `flash` or `ram`.
        memory: &'static str,
        /// What there is.
        limit_bytes: u64,
        /// What weights (flash) or values that are alive together (RAM) take at least.
        least_bytes: u64,
    },
    /// Tells what the answer will be about, from what an earlier run has measured.
    Expecting {
        /// Part of the memory at uniform 8 bit that is saved, biases apart.
        memory: f64,
        /// Part of the bit products at uniform 8 bit that is saved.
        multiplications: f64,
    },
    /// Tunes the best plan.
    Tuning {
        /// Steps so far, each on 64 images.
        steps: usize,
        /// Memory of the best plan before tuning and now, as parts of that at uniform 8 bit.
        memory: [f64; 2],
        /// Until the end of tuning.
        time_left: Option<TimeLeft>,
    },
    /// Tells that the plan is not tuned.
    NotTuned {
        /// Why, and what helps.
        problem: String,
    },
    /// Has measured a candidate.
    Searching(Candidate),
    /// Measures the plan on the test images.
    Testing {
        /// Images in all.
        images: usize,
    },
}

/// What a search has just tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// The layer, or other node, it is about; empty for a whole plan.
    pub name: String,
    /// A short form of `name`, for people; no other node of the network has the same.
    pub short_name: String,
    /// `weights`, `biases` or `activations`; empty for a whole plan.
    pub kind: &'static str,
    /// Bit width and fractional offset.
    pub format: Option<(u8, i8)>,
    /// Its loss relative to the float network, on the images that were run; absent where it was given up
    /// or is not legal.
    pub loss: Option<f64>,
    /// The loss that is allowed here.
    pub budget: Option<f64>,
    /// What a whole plan costs and loses, where the search chooses all widths at once.
    pub plan: Option<FrontPlan>,
    /// Whether that plan is the best so far.
    pub is_best: bool,
    /// Bits of weights, biases and activations of the plan so far.
    pub memory_bits: u64,
    /// The same with all at 8 bits.
    pub uniform8_bits: u64,
    /// Tensors that have their format, and all.
    pub tensors: (usize, usize),
    /// Evaluations so far, and how many are expected in all.
    pub evaluations: (usize, usize),
    /// Until the end of the run.
    pub time_left: Option<TimeLeft>,
}

/// Ends a search when its caller wants it or its time is over.
#[derive(Debug)]
pub(crate) struct Halt<'a> {
    stop: &'a AtomicBool,
    deadline: Option<Instant>,
    flag: AtomicBool,
}

/// How often the caller's flag and the clock are looked at.
const INTERVAL: Duration = Duration::from_millis(20);

impl<'a> Halt<'a> {
    pub(crate) fn new(stop: &'a AtomicBool, deadline: Option<Instant>) -> Self {
        Self { stop, deadline, flag: AtomicBool::new(false) }
    }

    /// Raised where a search shall end.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.flag
    }

    /// Until the deadline.
    pub(crate) fn seconds_left(&self) -> Option<f64> {
        let left = self.deadline?.saturating_duration_since(Instant::now());
        Some(left.as_secs_f64())
    }

    /// Whether the caller wants the end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.is_interrupted() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Does `work` with a flag that is raised when it is time; afterwards the flag is down again.
    pub(crate) fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        self.flag.store(self.is_over(), Ordering::Relaxed);
        let (done, is_done) = mpsc::channel::<()>();
        let result = std::thread::scope(|scope| {
            scope.spawn(move || {
                // The other end is dropped when the work is done.
                while is_done.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    if self.is_over() {
                        self.flag.store(true, Ordering::Relaxed);
                    }
                }
            });
            let result = work();
            drop(done);
            result
        });
        self.flag.store(false, Ordering::Relaxed);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(flag: &AtomicBool) {
        while !flag.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_flag_is_raised_by_the_caller_and_by_the_clock() {
        let stop = AtomicBool::new(false);
        let halt = Halt::new(&stop, None);
        halt.during(|| {
            assert!(!halt.flag().load(Ordering::Relaxed));
            stop.store(true, Ordering::Relaxed);
            wait_for(halt.flag());
        });
        assert!(!halt.flag().load(Ordering::Relaxed));
        assert!(halt.is_interrupted());

        let stop = AtomicBool::new(false);
        let halt = Halt::new(&stop, Some(Instant::now()));
        halt.during(|| wait_for(halt.flag()));
        assert_eq!(halt.seconds_left(), Some(0.0));
        assert!(!halt.is_interrupted());
    }
}
